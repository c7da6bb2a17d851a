"""The engine: steps rule groups at their interval and says which alerts fire.

A group is due when the clock enters the next multiple of its interval; how often it is asked does not
matter. Rules run in order, so that a rule sees what the one before it has recorded. A rule that fails
keeps the state it had: an error never resolves an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from model.alert import Alert
from model.labels import NAME, Labels
from model.metric import Sample
from model.moment import SECOND
from rules.coverage import Coverage
from rules.group import AlertRule, RecordingRule, RuleGroup
from rules.promql.answer import Scalar, Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import Expression, parse
from rules.recorder import Recorder
from rules.running import METRICS as METRICS
from rules.running import GroupState, RuleState, samples_of
from rules.settings import RuleSettings
from rules.states import FIRING, ActiveAlert, AlertStates, Step
from rules.tables import Unsaved, restored_alerts
from telemetry.window import IdRemap, Window
from wire.gotext import QueriedSample, TemplateValueError

log = logging.getLogger("fleetowl.rules")


_parsed = lru_cache(maxsize=256)(parse)
"""Queries of templates: they contain labels, so there is no end of them."""


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
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        self._window = window
        self._settings = settings or RuleSettings()
        self._timer = timer
        self._external_url = external_url
        self._external_labels = external_labels
        self._started_at = started_at
        self._coverage = self._new_coverage()
        self._unsaved = Unsaved()
        self._orphans: list[tuple[str, ActiveAlert]] = []
        self._retired: list[Recorder] = []
        self.groups = [self._group_state(group) for group in groups]

    def _new_coverage(self) -> Coverage:
        settings = self._settings
        return Coverage(self._window, self._started_at, settings.lookback, settings.default_scrape_interval)

    def _group_state(self, group: RuleGroup) -> GroupState:
        interval = group.interval or self._settings.evaluation_interval
        target = f"rules/{group.key}"
        place = f"{Path(group.file).name};{group.name}"
        seen: dict[str, int] = {}
        rules = []
        for rule in group.rules:
            number = seen[rule.name] = seen.get(rule.name, 0) + 1
            key = f"{place};{rule.name};{number}"
            state = RuleState(rule, key, Recorder(self._window, target, interval))
            if isinstance(rule, AlertRule):
                state.states = AlertStates(
                    rule,
                    key,
                    self._settings.default_scrape_interval,
                    self._external_url,
                    self._external_labels,
                    self._ask,
                )
            rules.append(state)
        return GroupState(group, interval, rules)

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
            if self._settings.record_alerts and rule.states is not None:
                self._record_alerts(rule.states, rule, at)
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
        flaw = rule.states.flaw if rule.states else ""
        if flaw and flaw != rule.error:
            log.warning("%s: %s", rule.key, flaw)
        elif rule.error and not flaw:
            log.info("%s: evaluates again", rule.key)
        rule.error = flaw
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
        value = expression.evaluate(self._window, at, self._settings.options())
        if isinstance(value, Scalar):
            return Vector([Labels()], np.array([value.value]), np.zeros(1, dtype=np.int64))
        if not isinstance(value, Vector):
            raise EvaluationError("a rule needs an instant vector or a number")
        return value

    def _ask(self, expression: str, at: int) -> list[QueriedSample]:
        """What the function `query` of a template finds. Raises TemplateValueError."""
        try:
            result = self._query(_parsed(expression), at)
        except (PromQLError, EvaluationError) as error:
            raise TemplateValueError(f"query {expression!r}: {error}") from error
        return [
            QueriedSample(labels, value)
            for labels, value in zip(result.labels, result.values.tolist(), strict=True)
        ]

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

    @staticmethod
    def _record_alerts(states: AlertStates, rule: RuleState, at: int) -> None:
        """At once, so that the next rule of the group sees them."""
        labels: list[Labels] = []
        values: list[float] = []
        for active in states.active.values():
            labels.extend(active.series())
            values.extend((1.0, float(active.active_at // SECOND)))
        if refused := rule.recorder.write(labels, np.array(values), at):
            log.warning("%s: ALERTS are not recorded: %s", rule.key, refused)

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
            yield from (rule.recorder for rule in group.rules)

    def _end_retired(self, now: int) -> None:
        """Mark stale what only the rules before the reload recorded; all groups have run since."""
        if self._retired:
            written = np.concatenate([recorder.ids for recorder in self._recorders()])
            for recorder in self._retired:
                recorder.end(now, written)
            self._retired = []

    def reload(
        self,
        groups: Sequence[RuleGroup],
        settings: RuleSettings | None = None,
        external_url: str | None = None,
    ) -> None:
        """Run other groups, with other settings where they are given.

        A rule that is still there keeps its alerts, those of the others resolve.
        """
        self._settings = settings or self._settings
        self._external_url = self._external_url if external_url is None else external_url
        self._coverage = self._new_coverage()
        before = {rule.key: rule for rule in self._alert_states(self.groups)}
        self._retired += self._recorders()
        self.groups = [self._group_state(group) for group in groups]
        for states in self._alert_states(self.groups):
            if states.key in before:
                for active in before.pop(states.key).active.values():
                    states.adopt(active)
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
        return bool(self._unsaved)

    def load(self, tx: Connection, now: int) -> None:
        """Take over the alerts that were pending or firing; they are held until the window covers them."""
        states = {found.key: found for found in self._alert_states(self.groups)}
        for key, active in restored_alerts(tx):
            if key in states:
                states[key].adopt(active)
            else:
                self._orphans.append((key, active))

    def save(self, tx: Connection) -> None:
        """Write the alerts that changed state since the last committed save."""
        self._unsaved.write(tx)

    def saved(self) -> None:
        """What `save` wrote is on the disk."""
        self._unsaved = Unsaved()

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        yield from samples_of(self.groups, list(self.active()))
