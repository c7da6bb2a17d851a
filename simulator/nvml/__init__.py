"""A stub NVIDIA driver: a real `libnvidia-ml.so.1`, compiled on the spot, that says what a test tells it.

The unmodified nvidia-ml-py, and so the real agent in a process of its own, runs on it: GPUs that are busy,
hot, lost, hung or nonsense, without a GPU. `stub` is the way in for tests, `python -m simulator.nvml --help`
the one for people.
"""
