"""The probe, the only process that calls the driver: `python -m agent.gpu.probe`, small and replaceable.

It may hang, crash or be replaced together with the driver; the agent goes on and says which.
"""
