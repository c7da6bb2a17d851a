"""What may hold an alert back between its group and its notification.

The order is fixed: time intervals, inhibit, silence, topology, flap. A stage says for one alert whether
it stays back and why; what stays back is out of the batch, never out of the alert list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from model.alert import Alert
from model.decision import Decision


class Stage(Protocol):
    """One reason to stay back. `name` stands in metrics and in what a person reads."""

    name: str

    def holds(self, alert: Alert, now: int) -> Decision:
        """Whether the alert stays back (go = True), and why."""


class Held(NamedTuple):
    """An alert that stayed back."""

    alert: Alert
    stage: str
    why: str


class Stages:
    """The list of stages; the first that holds an alert decides."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._stages = tuple(stages)
        self.counts: Counter[str] = Counter()

    def sift(self, alerts: Sequence[Alert], now: int) -> tuple[list[Alert], list[Held]]:
        """Those that go on, and those that stay back."""
        going, staying = [], []
        for alert in alerts:
            held = self._held(alert, now)
            if held is None:
                going.append(alert)
            else:
                self.counts[held.stage] += 1
                staying.append(held)
        return going, staying

    def _held(self, alert: Alert, now: int) -> Held | None:
        for stage in self._stages:
            decision = stage.holds(alert, now)
            if decision:
                return Held(alert, stage.name, decision.why)
        return None
