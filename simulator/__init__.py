"""A simulated cluster that serves a language model, driven by fault files, seen only through real HTTP."""
