"""Streaming detectors: each sample gets a score, and a score is a series like any other."""
