"""The streaming detector: every series on its own, one sample at a time."""
