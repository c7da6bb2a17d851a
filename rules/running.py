"""Rules and groups as they run: what they hold, how they fared, and what is exported about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.alert import tier_of
from model.metric import Metric, Sample
from rules.group import Rule, RuleGroup
from rules.recorder import Recorder
from rules.states import ActiveAlert, AlertStates

_BY_GROUP = ("file", "group")

METRICS = (
    Metric("fleetowl_rule_evaluations_total", "counter", "Rules evaluated.", _BY_GROUP),
    Metric("fleetowl_rule_failures_total", "counter", "Rule evaluations that failed.", _BY_GROUP),
    Metric(
        "fleetowl_rule_groups_missed_total", "counter", "Group evaluations that came too late.", _BY_GROUP
    ),
    Metric(
        "fleetowl_rule_group_duration_seconds",
        "gauge",
        "What the last evaluation of a group took.",
        _BY_GROUP,
    ),
    Metric("fleetowl_rule_alerts", "gauge", "Alerts that are pending or firing.", ("state", "tier")),
    Metric("fleetowl_rule_alerts_held", "gauge", "Restored alerts that the window cannot judge yet."),
)


@dataclass(slots=True)
class RuleState:
    """A rule as it runs: its alerts or what it records, and how it fared."""

    rule: Rule
    key: str
    recorder: Recorder
    states: AlertStates | None = None
    error: str = ""
    evaluated_at: int = 0


@dataclass(slots=True)
class GroupState:
    """A group as it runs, and what it has counted."""

    group: RuleGroup
    interval: int
    rules: list[RuleState]
    slot: int = -1
    evaluations: int = 0
    failures: int = 0
    missed: int = 0
    duration: float = 0.0
    evaluated_at: int = 0


def samples_of(groups: Sequence[GroupState], active: Sequence[ActiveAlert]) -> Iterator[Sample]:
    """The families of METRICS."""
    for group in groups:
        labels = {"file": Path(group.group.file).name, "group": group.group.name}
        yield Sample("fleetowl_rule_evaluations_total", labels, group.evaluations)
        yield Sample("fleetowl_rule_failures_total", labels, group.failures)
        yield Sample("fleetowl_rule_groups_missed_total", labels, group.missed)
        yield Sample("fleetowl_rule_group_duration_seconds", labels, group.duration)
    counts = Counter((alert.state, tier_of(alert.labels).name) for alert in active)
    for (state, tier), count in sorted(counts.items()):
        yield Sample("fleetowl_rule_alerts", {"state": state, "tier": tier}, count)
    yield Sample("fleetowl_rule_alerts_held", {}, sum(alert.restored for alert in active))
