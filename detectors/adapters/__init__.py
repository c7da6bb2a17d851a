"""Detectors of other libraries by configuration: any of river and of pyod, through one adapter each."""
