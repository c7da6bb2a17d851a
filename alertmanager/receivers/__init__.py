"""The ways to notify, one a file; each has `async send(notification) -> Outcome` and raises nothing."""
