"""promtool's unit tests of rules: `fleetowl rules test` runs the same files and means the same by them.

`notation` reads series and their values, `model` the file, `running` steps the rules over a window of
virtual time, `report` says what was expected and what came.

Source: prometheus/prometheus cmd/promtool/unittest.go.
"""
