"""GPUs of a kind as data: one YAML file each, read by `simulator.nvml.profile`."""
