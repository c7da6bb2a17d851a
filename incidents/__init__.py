"""Alerts and topology become incidents: few, explained, with a timeline that outlives the process."""
