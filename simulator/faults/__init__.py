"""The fault catalogue as data: one YAML file a fault, read by `simulator.fault`."""
