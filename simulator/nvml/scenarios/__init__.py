"""Stories of GPUs as data: one YAML file each, read by `simulator.nvml.scenario`."""
