"""NVIDIA GPUs: a probe in a process of its own asks the driver, the agent names and exports what it says."""
