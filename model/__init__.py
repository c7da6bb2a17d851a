"""What every room speaks of: labels, alerts, tiers, entities, topology, decisions, settings.

Nothing here does anything to the outside: no clock, no file, no socket.
"""
