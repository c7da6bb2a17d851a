"""Alertmanager's API v2, for every Prometheus that sends to one, for amtool and for dashboards."""
