"""The C source of the stub driver, compiled by `simulator.nvml.build`."""
