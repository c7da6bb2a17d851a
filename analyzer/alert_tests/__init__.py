"""Tests of a configuration: alerts and silences in, expected notifications and routes out."""
