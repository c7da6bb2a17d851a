"""Entities: GPUs, engines and nodes as rows of features, judged as a whole."""
