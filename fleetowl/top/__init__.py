"""`fleetowl top`: GPUs and engines, live in a terminal."""
