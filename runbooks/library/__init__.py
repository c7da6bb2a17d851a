"""The runbooks that ship with Fleetowl: one YAML file each, in dry-run mode until told otherwise."""
