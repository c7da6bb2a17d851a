"""The read side over HTTP: Prometheus' API as far as its clients ask for it, and Fleetowl's own beside it."""
