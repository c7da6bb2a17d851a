"""One collector a file; each registers itself when `agent.registry.discover` imports it."""
