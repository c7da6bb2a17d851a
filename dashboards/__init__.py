"""Grafana dashboards: described in panels.py, built by fleet.py, committed as JSON, written out by export.py.

The JSON is what ships; grafana-foundation-sdk is needed only to build it again:

    python -m dashboards.fleet
"""
