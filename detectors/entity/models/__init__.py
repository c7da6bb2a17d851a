"""Models over rows of an entity: arrays in, scores out; no clock, no window, no thread."""
