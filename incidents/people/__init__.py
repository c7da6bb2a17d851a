"""Tiers drive people: who is on duty, who is notified next, until somebody answers."""
