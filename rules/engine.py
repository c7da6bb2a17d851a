"""The engine: steps rule groups at their interval and says which alerts fire.

A group is due when the clock enters the next multiple of its interval; how often it is asked does not
matter. Rules run in order, so that a rule sees what the one before it has recorded. A rule that fails
keeps the state it had: an error never resolves an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, delete, select

from model.alert import Alert, tier_of
from model.labels import NAME, Labels, format_fingerprint
from model.metric import Metric, Sample
from model.moment import SECOND
from rules.coverage import Coverage
from rules.group import AlertRule, RecordingRule, Rule, RuleGroup
from rules.promql.errors import EvaluationError
from rules.promql.expression import Expression, Scalar, Vector
from rules.recorder import Recorder
from rules.settings import RuleSettings
from rules.states import FIRING, PENDING, ActiveAlert, AlertStates, Step
from rules.tables import ALERTS
from store.columns import upsert
from telemetry.window import IdRemap, Window

log = logging.getLogger("fleetowl.rules")

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
    alerts: Recorder
    slot: int = -1
    evaluations: int = 0
    failures: int = 0
    missed: int = 0
    duration: float = 0.0
    evaluated_at: int = 0


@dataclass(slots=True)
class _Unsaved:
    """What differs from the table, by (rule key, labels)."""

    changed: dict[tuple[str, Labels], ActiveAlert] = field(default_factory=dict)
    gone: set[tuple[str, Labels]] = field(default_factory=set)

    def take(self, key: str, step: Step) -> None:
        for active in step.changed:
            self.changed[key, active.labels] = active
            self.gone.discard((key, active.labels))
        for active in step.dropped:
            self.changed.pop((key, active.labels), None)
            self.gone.add((key, active.labels))


class RuleEngine:
    """Evaluates groups of rules over a window.

    `started_at` (ms) is when this process began to fill the window. `timer` measures how long a group
    takes, in seconds; without one durations are 0.
    """

    def __init__(
        self,
        window: Window,
        groups: Sequence[RuleGroup],
        started_at: int,
        settings: RuleSettings | None = None,
        timer: Callable[[], float] = lambda: 0.0,
        external_url: str = "",
    ) -> None:
        self._window = window
        self._settings = settings or RuleSettings()
        self._timer = timer
        self._external_url = external_url
        self._coverage = Coverage(
            window, started_at, self._settings.lookback, self._settings.default_scrape_interval
        )
        self._unsaved = _Unsaved()
        self._orphans: list[tuple[str, ActiveAlert]] = []
        self._retired: list[Recorder] = []
        self.groups = [self._group_state(group) for group in groups]

    def _group_state(self, group: RuleGroup) -> GroupState:
        interval = group.interval or self._settings.evaluation_interval
        target = self._window.target(f"rules/{group.key}", interval)
        place = f"{Path(group.file).name};{group.name}"
        seen: dict[str, int] = {}
        rules = []
        for rule in group.rules:
            number = seen[rule.name] = seen.get(rule.name, 0) + 1
            key = f"{place};{rule.name};{number}"
            state = RuleState(rule, key, Recorder(self._window, target))
            if isinstance(rule, AlertRule):
                state.states = AlertStates(
                    rule, key, self._settings.default_scrape_interval, self._external_url
                )
            rules.append(state)
        return GroupState(group, interval, rules, Recorder(self._window, target))

    def step(self, now: int) -> list[Alert]:
        """Evaluate the groups that are due at `now` (ms).

        Answers with all firing alerts, and once with each that has just resolved, its `ends_at` set.
        """
        resolved = [active.alert(ends_at=now) for active in self._drop_orphans()]
        for group in self.groups:
            slot = now // group.interval
            if slot == group.slot:
                continue
            if group.slot >= 0:
                group.missed += max(0, slot - group.slot - 1)
            group.slot = slot
            resolved.extend(active.alert(ends_at=now) for active in self._evaluate_group(group, now))
        self._end_retired(now)
        return [active.alert() for active in self.active() if active.state == FIRING] + resolved

    def _evaluate_group(self, group: GroupState, now: int) -> list[ActiveAlert]:
        begun = self._timer()
        at = now - group.group.query_offset
        resolved: list[ActiveAlert] = []
        for rule in group.rules:
            resolved.extend(self._evaluate_rule(group, rule, at))
        if self._settings.record_alerts:
            self._record_alerts(group, at)
        group.evaluated_at = now
        group.duration = self._timer() - begun
        return resolved

    def _evaluate_rule(self, group: GroupState, rule: RuleState, at: int) -> list[ActiveAlert]:
        group.evaluations += 1
        rule.evaluated_at = at
        try:
            step = self._apply(group.group, rule, at)
        except EvaluationError as error:
            self._failed(group, rule, str(error))
            return []
        # A supervisor's boundary: one rule's defect must not keep the other rules from being evaluated.
        except Exception as error:
            message = f"a defect in the evaluation: {type(error).__name__}: {error}"
            self._failed(group, rule, message, defect=True)
            return []
        if rule.error:
            log.info("%s: evaluates again", rule.key)
            rule.error = ""
        self._unsaved.take(rule.key, step)
        return step.resolved

    @staticmethod
    def _failed(group: GroupState, rule: RuleState, message: str, defect: bool = False) -> None:
        group.failures += 1
        if message != rule.error:
            log.warning("%s: failed and keeps its last state: %s", rule.key, message, exc_info=defect)
        rule.error = message

    def _apply(self, group: RuleGroup, rule: RuleState, at: int) -> Step:
        result = self._query(rule.rule.expression, at)
        if group.limit and len(result.labels) > group.limit:
            raise EvaluationError(f"exceeded limit of {group.limit} with {len(result.labels)} results")
        if isinstance(rule.rule, RecordingRule):
            self._record(rule.rule, rule.recorder, result, at)
            return Step()
        assert rule.states is not None
        expression = rule.rule.expression
        if result.labels and expression.asks_for_absence and not self._coverage.knows_absence(expression, at):
            return Step()
        return rule.states.update(result, at, self._coverage.held(rule.states, at))

    def _query(self, expression: Expression, at: int) -> Vector:
        settings = self._settings
        value = expression.evaluate(self._window, at, settings.lookback, settings.default_scrape_interval)
        if isinstance(value, Scalar):
            return Vector([Labels()], np.array([value.value]), np.zeros(1, dtype=np.int64))
        if isinstance(value, str):
            raise EvaluationError("a rule needs a vector or a number, not a string")
        return value

    @staticmethod
    def _record(rule: RecordingRule, recorder: Recorder, result: Vector, at: int) -> None:
        added = {NAME: rule.name, **rule.labels}
        labels = [row.merged(added) for row in result.labels]
        if len(set(labels)) < len(labels):
            raise EvaluationError(
                "two results have the same labels after the labels of the rule were applied"
            )
        refused = recorder.write(labels, result.values, at)
        if refused:
            raise EvaluationError(refused)

    def _record_alerts(self, group: GroupState, at: int) -> None:
        labels: list[Labels] = []
        values: list[float] = []
        for rule in group.rules:
            for active in rule.states.active.values() if rule.states else ():
                labels.extend(active.series())
                values.extend((1.0, float(active.active_at // SECOND)))
        if refused := group.alerts.write(labels, np.array(values), at):
            log.warning("%s: ALERTS are not recorded: %s", group.group.key, refused)

    def active(self) -> Iterator[ActiveAlert]:
        """All pending and firing alerts."""
        for group in self.groups:
            for rule in group.rules:
                if rule.states is not None:
                    yield from rule.states.active.values()

    def remap(self, remap: IdRemap) -> None:
        """The window has renumbered its series."""
        for recorder in [*self._recorders(), *self._retired]:
            recorder.remap(remap)

    def _recorders(self) -> Iterator[Recorder]:
        for group in self.groups:
            yield group.alerts
            yield from (rule.recorder for rule in group.rules)

    def _end_retired(self, now: int) -> None:
        """Mark stale what only the rules before the reload recorded; all groups have run since."""
        if self._retired:
            written = np.concatenate([recorder.ids for recorder in self._recorders()])
            for recorder in self._retired:
                recorder.end(now, written)
            self._retired = []

    def reload(self, groups: Sequence[RuleGroup]) -> None:
        """Run other groups. A rule that is still there keeps its alerts, those of the others resolve."""
        before = {rule.key: rule for rule in self._alert_states(self.groups)}
        self._retired += self._recorders()
        self.groups = [self._group_state(group) for group in groups]
        for states in self._alert_states(self.groups):
            if states.key in before:
                states.active = before.pop(states.key).active
        for states in before.values():
            self._orphans.extend((states.key, active) for active in states.active.values())

    @staticmethod
    def _alert_states(groups: Iterable[GroupState]) -> list[AlertStates]:
        return [rule.states for group in groups for rule in group.rules if rule.states is not None]

    def _drop_orphans(self) -> list[ActiveAlert]:
        orphans, self._orphans = self._orphans, []
        for key, active in orphans:
            self._unsaved.take(key, Step(dropped=[active]))
        return [active for _, active in orphans if active.state == FIRING]

    @property
    def dirty(self) -> bool:
        """Whether an alert changed state since the last committed save."""
        return bool(self._unsaved.changed or self._unsaved.gone)

    def load(self, tx: Connection, now: int) -> None:
        """Take over the alerts that were pending or firing; they are held until the window covers them."""
        states = {found.key: found for found in self._alert_states(self.groups)}
        for row in tx.execute(select(ALERTS)):
            active = ActiveAlert(
                labels=Labels(row.labels),
                source=Labels(row.source),
                annotations=row.annotations,
                value=float("nan") if row.value is None else row.value,
                active_at=row.active_at,
                state=row.state,
                fired_at=row.fired_at,
                keep_since=row.keep_since,
                restored=True,
            )
            if row.rule in states:
                states[row.rule].active[active.labels] = active
            else:
                self._orphans.append((row.rule, active))

    def save(self, tx: Connection) -> None:
        """Write the alerts that changed state since the last committed save."""
        for key, labels in self._unsaved.gone:
            where = (ALERTS.c.rule == key) & (ALERTS.c.fingerprint == format_fingerprint(labels.fingerprint))
            tx.execute(delete(ALERTS).where(where))
        upsert(tx, ALERTS, [_row(key, active) for (key, _), active in self._unsaved.changed.items()])

    def saved(self) -> None:
        """What `save` wrote is on the disk."""
        self._unsaved = _Unsaved()

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        for group in self.groups:
            labels = {"file": Path(group.group.file).name, "group": group.group.name}
            yield Sample("fleetowl_rule_evaluations_total", labels, group.evaluations)
            yield Sample("fleetowl_rule_failures_total", labels, group.failures)
            yield Sample("fleetowl_rule_groups_missed_total", labels, group.missed)
            yield Sample("fleetowl_rule_group_duration_seconds", labels, group.duration)
        counts: dict[tuple[str, str], int] = {}
        held = 0
        for active in self.active():
            at = active.state, tier_of(active.labels).name
            counts[at] = counts.get(at, 0) + 1
            held += active.restored
        for (state, tier), count in sorted(counts.items()):
            yield Sample("fleetowl_rule_alerts", {"state": state, "tier": tier}, count)
        yield Sample("fleetowl_rule_alerts_held", {}, held)


def _row(key: str, active: ActiveAlert) -> dict[str, object]:
    return {
        "rule": key,
        "fingerprint": format_fingerprint(active.labels.fingerprint),
        "state": active.state if active.state == FIRING else PENDING,
        "labels": dict(active.labels),
        "source": dict(active.source),
        "annotations": dict(active.annotations),
        "value": None if active.value != active.value else active.value,
        "active_at": active.active_at,
        "fired_at": active.fired_at,
        "keep_since": active.keep_since,
    }
