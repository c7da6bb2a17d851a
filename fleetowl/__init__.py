"""The front door: the command line, the root configuration, the version."""
