"""Peers: who does the same work, and who of them stands out."""
