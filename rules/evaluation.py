"""The evaluation of one rule: from its expression to series and alert states.

A rule that fails keeps the state that it had: an error never resolves an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from model.alert import Alert
from model.labels import NAME, Labels
from model.moment import SECOND
from rules.active import ActiveAlert
from rules.clearing import cleared, gone
from rules.coverage import Coverage
from rules.group import AlertRule, RecordingRule
from rules.promql.answer import Scalar, Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import Expression, parse
from rules.promql.frame import Shelf
from rules.running import GroupState, RuleState
from rules.settings import RuleSettings
from rules.states import AlertStates, Step
from rules.tables import Unsaved
from telemetry.window import Window
from wire.gotext import QueriedSample, TemplateValueError

log = logging.getLogger("fleetowl.rules")

_parsed = lru_cache(maxsize=256)(parse)
"""Queries of templates: they contain labels, so there is no end of them."""

_NOTHING = Vector([], np.empty(0), np.empty(0, dtype=np.int64))


class Evaluator:
    """Evaluates rules over a window, and notes in `unsaved` what changed."""

    def __init__(self, window: Window, settings: RuleSettings, coverage: Coverage, unsaved: Unsaved) -> None:
        self._window = window
        self._settings = settings
        self._options = replace(settings.options(), shelf=Shelf())
        self._coverage = coverage
        self._unsaved = unsaved
        self._empty: set[Expression] = set()
        """What had no rows and no error when there were no series for it: so it goes on until there are."""

    def evaluate(self, group: GroupState, rule: RuleState, now: int) -> list[Alert]:
        """Evaluate a rule for `now` (ms) and return the alerts that have resolved. Never raises."""
        group.evaluations += 1
        rule.evaluated_at = now
        try:
            step = self._apply(group, rule, now)
        except EvaluationError as error:
            self._failed(group, rule, str(error))
            return []
        # A supervisor's boundary: one rule's defect must not keep the other rules from being evaluated.
        except Exception as error:
            message = f"a defect in the evaluation: {type(error).__name__}: {error}"
            self._failed(group, rule, message, defect=True)
            return []
        self._unsaved.take(rule.key, step)
        if step.flaw:
            self._failed(group, rule, step.flaw)
        elif rule.error:
            log.info("%s: evaluates again", rule.key)
            rule.error = ""
        return step.resolved

    @staticmethod
    def _failed(group: GroupState, rule: RuleState, message: str, defect: bool = False) -> None:
        group.failures += 1
        if message != rule.error:
            log.warning("%s: failed: %s", rule.key, message, exc_info=defect)
        rule.error = message

    def _apply(self, group: GroupState, state: RuleState, now: int) -> Step:
        rule, limit = state.rule, group.group.limit
        at = now - group.group.query_offset
        if rule.flaw:
            raise EvaluationError(rule.flaw)
        if isinstance(rule, RecordingRule):
            self._record(rule, state, self._query(rule.expression, at), at, limit)
            return Step()
        assert state.states is not None
        result = self._query(rule.expression, at)
        if result.labels and not self._coverage.knows_absence(rule.expression, at):
            return Step()
        held = self._coverage.held(state.states, at)
        ended = partial(self._ended, rule, at) if rule.clear is not None else None
        step = state.states.update(result, now, held, limit, ended)
        self._record_alerts(state, state.states, at)
        return step

    def _query(self, expression: Expression, at: int) -> Vector:
        silent = expression.without_series(self._window)
        if silent and expression in self._empty:
            return _NOTHING
        value = expression.evaluate(self._window, at, self._options)
        if isinstance(value, Scalar):
            return Vector([Labels()], np.array([value.value]), np.zeros(1, dtype=np.int64))
        if not isinstance(value, Vector):
            raise EvaluationError("a rule needs an instant vector or a number")
        if silent and not value.labels:
            self._empty.add(expression)
        return value

    def ask(self, expression: str, at: int) -> list[QueriedSample]:
        """What the function `query` of a template finds. Raises TemplateValueError."""
        try:
            result = self._query(_parsed(expression), at)
        except (PromQLError, EvaluationError) as error:
            raise TemplateValueError(f"query {expression!r}: {error}") from error
        return [
            QueriedSample(labels, value)
            for labels, value in zip(result.labels, result.values.tolist(), strict=True)
        ]

    def _ended(self, rule: AlertRule, at: int, alerts: list[ActiveAlert]) -> Collection[Labels]:
        """Of alerts whose expression no longer holds, those that `clear_expr` lets go at `at` (ms)."""
        assert rule.clear is not None
        result = self._query(rule.clear, at) if self._coverage.knows_absence(rule.clear, at) else _NOTHING
        done = cleared(alerts, result.labels)
        rest = [active for active in alerts if active.labels not in done]
        return done | gone(rest, rule.expressions, self._window, at, self._settings.lookback)

    @staticmethod
    def _record(rule: RecordingRule, state: RuleState, result: Vector, at: int, limit: int) -> None:
        labels = state.recorder.named(result.labels, {NAME: rule.name, **rule.labels})
        if limit and len(labels) > limit:
            raise EvaluationError(f"exceeded limit of {limit} with {len(labels)} series")
        refused = state.recorder.write(labels, result.values, at)
        if refused:
            raise EvaluationError(refused)

    def _record_alerts(self, state: RuleState, states: AlertStates, at: int) -> None:
        """ALERTS and ALERTS_FOR_STATE; the rules after this one in its group see them already."""
        if not self._settings.record_alerts:
            return
        labels: list[Labels] = []
        values: list[float] = []
        for active in states.active.values():
            labels.extend(active.series())
            values.extend((1.0, float(active.active_at // SECOND)))
        if refused := state.recorder.write(labels, np.array(values), at):
            log.warning("%s: ALERTS are not recorded: %s", state.key, refused)
