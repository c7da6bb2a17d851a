"""What may hold an alert back between its group and its notification.

The order is fixed: time intervals, inhibit, silence, topology, flap. A stage says for one alert whether
it stays back and why; what stays back is out of the batch, never out of the alert list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from alertmanager.route import Route
from model.alert import Alert
from model.decision import Decision


class Stage(Protocol):
    """One reason to stay back. `name` stands in metrics and in what a person reads.

    Each tick a stage hears of every episode that changed (`observe`), then of the time (`step`), and is
    asked when groups are flushed (`holds`). `version` changes whenever an answer of `holds` may have
    changed, for whatever reason (an alert, a silence, the clock): while it stands, what was answered for
    an unchanged group stands too.
    """

    name: str

    @property
    def version(self) -> int:
        """Counts the changes of what `holds` would answer."""

    def observe(self, alert: Alert, now: int) -> None:
        """An alert began, changed, ended (`alert.resolved_at(now)`), or was forgotten long after its end."""

    def step(self, now: int) -> None:
        """Time goes on: what begins or ends by the clock does so here, and changes `version`."""

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        """Whether the alert stays back from the groups of this route (go = True), and why."""


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

    def sift(self, alerts: Sequence[Alert], route: Route, now: int) -> tuple[list[Alert], list[Held]]:
        """Those that go on, and those that stay back."""
        going, staying = [], []
        for alert in alerts:
            held = self._held(alert, route, now)
            if held is None:
                going.append(alert)
            else:
                self.counts[held.stage] += 1
                staying.append(held)
        return going, staying

    def _held(self, alert: Alert, route: Route, now: int) -> Held | None:
        for stage in self._stages:
            decision = stage.holds(alert, route, now)
            if decision:
                return Held(alert, stage.name, decision.why)
        return None
