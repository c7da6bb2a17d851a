"""What may hold an alert back between its group and its notification.

A stage says for one alert whether it stays back and why; what stays back is out of the batch, never out
of the alert list. Time intervals are no stage: they mute a route, whatever its alerts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from alertmanager.route import Route
from model.alert import Alert
from model.decision import Decision

ORDER = ("inhibit", "silence", "topology", "flap")
"""By their names, the order in which stages are asked; one that is not here comes after them."""


DELAYS_ENDS = frozenset({"topology", "flap"})
"""The stages that hold back the end of an alert only until it is due; what others hold has ended unheard."""


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


class Muting(Protocol):
    """What keeps whole routes quiet at certain times."""

    def muted(self, route: Route, now: int) -> Decision:
        """Whether the groups of this route are not notified now (go = True), and why."""


class Held(NamedTuple):
    """An alert that stayed back."""

    alert: Alert
    stage: str
    why: str


class Stages:
    """The stages in their order; the first that holds an alert decides."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._all = tuple(sorted(stages, key=_place))
        self._asked = self._all
        self._switched = 0
        self.counts: Counter[str] = Counter()

    @property
    def version(self) -> int:
        """Stands while every stage would answer as before."""
        return self._switched + sum(stage.version for stage in self._asked)

    @property
    def asks(self) -> bool:
        """Whether there is a stage to be asked."""
        return bool(self._asked)

    @property
    def hears(self) -> bool:
        """Whether there is a stage that must hear of alerts."""
        return bool(self._all)

    def switch_off(self, names: Collection[str]) -> None:
        """Ask all stages but these from now on; these go on hearing of alerts."""
        # Larger than any sum of versions, so that no two sets of stages ever have the same one.
        self._switched += 1 << 64
        self._asked = tuple(stage for stage in self._all if stage.name not in names)

    def observe(self, alerts: Iterable[Alert], now: int) -> None:
        """These alerts changed."""
        if self._all:
            for alert in alerts:
                for stage in self._all:
                    stage.observe(alert, now)

    def step(self, now: int) -> None:
        """It is `now`."""
        for stage in self._all:
            stage.step(now)

    def sift(self, alerts: Sequence[Alert], route: Route, now: int) -> tuple[list[Alert], list[Held]]:
        """Those that go on, and those that stay back."""
        if not self._asked:
            return list(alerts), []
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
        for stage in self._asked:
            decision = stage.holds(alert, route, now)
            if decision:
                return Held(alert, stage.name, decision.why)
        return None


def _place(stage: Stage) -> int:
    return ORDER.index(stage.name) if stage.name in ORDER else len(ORDER)
