"""One pending or firing alert."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from model.alert import Alert, deadline_of, kind_of, tier_of
from model.labels import NAME, Labels
from rules.sidefile import Extras

PENDING = "pending"
FIRING = "firing"

CLEAR = "clear_expr"
KEEP = "keep_firing_for"
FLAP = "flap"


@dataclass(slots=True)
class ActiveAlert:
    """A pending or firing alert. `source` are the labels of the row that it stands for."""

    labels: Labels
    source: Labels
    annotations: Mapping[str, str]
    value: float
    active_at: int
    state: str = PENDING
    fired_at: int = 0
    keep_since: int = 0
    """Since when (ms) only `keep_firing_for` holds it; 0 while the expression does."""
    damped_since: int = 0
    """Since when (ms) only flap control holds it; 0 while something else does."""
    kept: str = ""
    """What holds it while the expression does not: CLEAR, KEEP or FLAP; empty while the expression does."""
    traced_at: int = 0
    """When (ms) the expression, or the newest sample of its series, was last there."""
    restored: bool = False
    seen_at: int = 0
    """When (ms) its target was first seen after the restart; 0 not yet."""
    interval: int = 0
    """The longest scrape interval (ms) of its sources; 0 not known."""
    generator_url: str = ""
    extras: Extras = field(default=Extras())
    outdated: bool = False
    """Whether its words are those of a rule before a reload."""
    held_anew: bool = False
    """Whether a reload has changed `for` since it was judged last."""
    flaw: str = ""
    """What went wrong when its annotations were written."""
    _told: Alert | None = None
    _series: tuple[str, Labels, Labels] | None = None

    def rewrite(self, generator_url: str, extras: Extras) -> None:
        """Take over what the rule says now; its annotations follow at the next evaluation."""
        self.generator_url, self.extras = generator_url, extras
        self.outdated = True
        self._told = None

    def has_value(self, value: float) -> bool:
        """Whether this is its value already."""
        return self.value == value or (math.isnan(self.value) and math.isnan(value))

    def alert(self, ends_at: int | None = None) -> Alert:
        """What is told to those who handle alerts; the same object while nothing changes."""
        told = self._told
        if (
            told is None
            or told.ends_at != ends_at
            or told.starts_at != self.fired_at
            or told.annotations is not self.annotations
        ):
            told = self._told = self._tell(ends_at)
        return told

    def _tell(self, ends_at: int | None) -> Alert:
        extras = self.extras
        kind = kind_of(self.labels, extras.kind)
        return Alert(
            self.labels,
            self.annotations,
            self.fired_at,
            ends_at,
            self.value,
            self.generator_url,
            kind=kind,
            deadline=extras.deadline or deadline_of(tier_of(self.labels), kind),
            entity=extras.entity,
            runbook=extras.runbook,
        )

    def series(self) -> tuple[Labels, Labels]:
        """The labels of its ALERTS and ALERTS_FOR_STATE series."""
        if self._series is None or self._series[0] != self.state:
            alerts = self.labels.merged({NAME: "ALERTS", "alertstate": self.state})
            self._series = self.state, alerts, self.labels.merged({NAME: "ALERTS_FOR_STATE"})
        return self._series[1:]
