"""An alert and its tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from model.labels import Labels
from model.moment import HOUR, MINUTE


class Tier(IntEnum):
    """How urgently people must answer; P0 is a disaster. Smaller is more urgent."""

    P0 = 0
    P1 = 1
    P2 = 2
    P3 = 3


_TIERS = {tier.name: tier for tier in Tier}
_SEVERITY_TIERS = {"critical": Tier.P1, "warning": Tier.P2}


def tier_of(labels: Mapping[str, str]) -> Tier:
    """The label `tier`; without a valid one severity critical is P1, warning P2, anything else P3."""
    stated = _TIERS.get(labels.get("tier", ""))
    if stated is not None:
        return stated
    return _SEVERITY_TIERS.get(labels.get("severity", ""), Tier.P3)


KINDS = ("threshold", "trend", "anomaly", "business")
"""What an alert rests on: a limit, where a value is heading, what is unusual, what the users lose."""

_TIER_DEADLINES = {Tier.P0: 5 * MINUTE, Tier.P1: 15 * MINUTE, Tier.P2: HOUR, Tier.P3: 2 * HOUR}
_KIND_DEADLINES = {
    "threshold": 20 * MINUTE,
    "trend": HOUR,
    "anomaly": 10 * MINUTE,
    "business": 3 * MINUTE,
}


def kind_of(labels: Mapping[str, str], stated: str = "") -> str:
    """The label `kind` if it is one of KINDS, else what was `stated` elsewhere; empty if nobody says."""
    kind = labels.get("kind", "")
    return kind if kind in KINDS else stated


def deadline_of(tier: Tier, kind: str = "") -> int:
    """Within how many ms a person must answer: by the tier or by the kind, the stricter wins.

    >>> deadline_of(Tier.P2, "threshold") // MINUTE, deadline_of(Tier.P0, "trend") // MINUTE
    (20, 5)
    """
    return min(_TIER_DEADLINES[tier], _KIND_DEADLINES.get(kind, 2 * HOUR))


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert instance: who it is (labels), what it says (annotations), when it was true.

    Times are milliseconds since the epoch; `ends_at` is None while it fires. `incident` is the id of
    the incident that it belongs to, empty until the correlation has seen it. What a rule says beyond its
    labels: `kind` (one of KINDS), `deadline` (ms from its start within which a person must answer),
    `entity` (what it is about: gpu, node, ...), `runbook` (its name); empty or 0 where nobody has said it.
    """

    labels: Labels
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: int = 0
    ends_at: int | None = None
    value: float = float("nan")
    generator_url: str = ""
    incident: str = ""
    kind: str = ""
    deadline: int = 0
    entity: str = ""
    runbook: str = ""

    @property
    def name(self) -> str:
        """The rule's name (label `alertname`)."""
        return self.labels.value("alertname")

    @property
    def fingerprint(self) -> int:
        """Identity of the alert over its whole life."""
        return self.labels.fingerprint

    @property
    def tier(self) -> Tier:
        """Its urgency, from the labels; worked out once, beside their fingerprint."""
        memo = self.labels.__dict__
        found: Tier | None = memo.get("tier")
        if found is None:
            found = memo["tier"] = tier_of(self.labels)
        return found

    def resolved_at(self, now: int) -> bool:
        """Whether it has ended by `now` (ms)."""
        return self.ends_at is not None and self.ends_at <= now
