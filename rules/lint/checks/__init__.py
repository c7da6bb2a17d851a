"""The checks of rule files, one a file; each registers itself."""
