"""`fleetowl rules lint`: what loads and yet does not mean what its author thinks."""
