"""Notification templates: the part of Go's templates that Alertmanager's configurations use."""
