"""An analyzer with a rule or two over thermometers, for the tests of the read API."""

from __future__ import annotations

import numpy as np

from analyzer.service import Analyzer
from model.labels import NAME, Labels

RULES = """
groups:
  - name: heat
    interval: 1s
    limit: 7
    rules:
      - alert: Hot
        expr: temperature > 80
        keep_firing_for: 1m
        labels: {tier: P1, team: "{{ $labels.room }}"}
        annotations: {summary: "{{ $value }} degrees"}
      - alert: Freezing
        expr: temperature < -10
        for: 5m
        labels: {tier: P2, team: cold}
      - record: room:temperature:max
        expr: max by (room) (temperature)
  - name: other
    rules:
      - alert: Broken
        expr: temperature / on () temperature
"""


def write(analyzer: Analyzer, values: dict[str, float], samples: int = 1) -> int:
    """A sample of `temperature` for each room every 5 s, the last now; returns now (ms)."""
    window, now = analyzer.pipeline.window, analyzer.clock.now()
    window.advance(now)
    target = window.target("rooms", 5000)
    labels = [Labels({NAME: "temperature", "room": room, "instance": "attic"}) for room in values]
    ids = np.array([window.series(target, one, "gauge") for one in labels])
    for back in range(samples - 1, -1, -1):
        window.append(target, now - back * 5000, ids, np.array(list(values.values())))
    return now
