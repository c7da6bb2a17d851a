"""Rules: PromQL over the window, rule groups and their alert states, and the shipped packs.

A rule is the only place where anything becomes an alert. `promql/` evaluates expressions on whole
arrays of series, `files` reads standard Prometheus rule files, `engine` steps the groups through
their states, `packs/` holds what ships.
"""
