"""Runs one unit test: steps the rules over a window of virtual time and compares.

As promtool: the groups are evaluated at each step from the start to the last `eval_time`; before each step
the input up to it is written, and never what lies beyond the last step. The alerts of an `eval_time` are
those of the step at or before it. A rule that fails ends its test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.labels import Labels, format_labels
from model.moment import DAY
from rules.active import FIRING
from rules.engine import RuleEngine
from rules.promql.answer import Scalar, Vector
from rules.promql.errors import EvaluationError
from rules.settings import RuleSettings
from rules.unittest.files import Loaded
from rules.unittest.model import AlertCase, ExpressionCase, UnitTest
from rules.unittest.relevance import needed, reads_alerts
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import Window
from wire.render import format_value

TOLERANCE = 1e-9
_LONG_AGO = 100_000 * DAY
"""No test is longer: the window forgets nothing, and the engine has always been running."""


@dataclass(frozen=True, slots=True)
class Alerting:
    """A firing alert, expected or found."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def __str__(self) -> str:
        return f"{format_labels(self.labels)} {format_labels(self.annotations)}"


@dataclass(frozen=True, slots=True)
class Valued:
    """A row of an expression's result, expected or found."""

    labels: Labels
    value: float

    def __str__(self) -> str:
        return f"{self.labels} {format_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What did not come out as expected: what `subject` is at `time` (ms after the start), or an error."""

    test: str
    subject: str
    time: int
    expected: Sequence[Alerting | Valued] = ()
    got: Sequence[Alerting | Valued] = ()
    error: str = ""


class _Input:
    """The input series as a table: row k is the moment k * interval after the start."""

    def __init__(self, test: UnitTest) -> None:
        # A series that stands twice counts once, as it stands last.
        series = dict(entry.samples for entry in test.input_series)
        steps = max(map(len, series.values()), default=0)
        self.labels = list(series)
        self.values: Floats = np.zeros((steps, len(series)))
        self.given: Flags = np.zeros((steps, len(series)), dtype=np.bool_)
        for column, sequence in enumerate(series.values()):
            self.given[: len(sequence), column] = [value is not None for value in sequence]
            self.values[: len(sequence), column] = [0.0 if value is None else value for value in sequence]


class _Run:
    """One test as it runs."""

    def __init__(self, loaded: Loaded, test: UnitTest, name: str) -> None:
        self.test = test
        self.name = name
        self.step = loaded.step
        self.start = test.start_timestamp
        self.interval = test.interval or loaded.step
        groups = needed(loaded.groups, test)
        self.settings = RuleSettings().model_copy(
            update={
                "evaluation_interval": loaded.step,
                "default_scrape_interval": self.interval,
                "max_series": 0,
                "record_alerts": reads_alerts(groups, test),
            }
        )
        self.window = Window(retention=_LONG_AGO)
        self.engine = RuleEngine(
            self.window,
            groups,
            self.start - _LONG_AGO,
            self.settings,
            external_url=test.external_url,
            external_labels=test.external_labels,
        )
        self.input = _Input(test)
        self.target = self.window.target("input", self.interval)
        sids = [self.window.series(self.target, labels) for labels in self.input.labels]
        self.ids: Ints = np.array(sids, dtype=np.int64)
        self.written = 0

    def failures(self) -> Iterator[Failure]:
        """Step to the end and compare on the way."""
        cases = sorted(self.test.alert_rule_test, key=lambda case: case.eval_time)
        for elapsed in range(0, self.test.duration + 1, self.step):
            self._write_until(elapsed)
            self.engine.step(self.start + elapsed)
            failed = list(self._failed_rules(elapsed))
            if failed:
                yield from failed
                return
            while cases and cases[0].eval_time < elapsed + self.step:
                yield from self._compare_alerts(cases.pop(0))
        for case in self.test.promql_expr_test:
            yield from self._compare_samples(case)

    def _write_until(self, elapsed: int) -> None:
        while self.written * self.interval <= elapsed and self.written < len(self.input.values):
            row = np.flatnonzero(self.input.given[self.written])
            moment = self.start + self.written * self.interval
            self.window.append(self.target, moment, self.ids[row], self.input.values[self.written][row])
            self.written += 1

    def _failed_rules(self, elapsed: int) -> Iterator[Failure]:
        for group in self.engine.groups:
            for rule in group.rules:
                # A template that fails is text in the alert, and no reason to stop.
                if rule.error and not (rule.states and rule.error == rule.states.flaw):
                    yield Failure(self.name, f"rule: {rule.rule.name}", elapsed, error=rule.error)

    def _compare_alerts(self, case: AlertCase) -> Iterator[Failure]:
        got = [
            Alerting(dict(active.labels), dict(active.annotations))
            for active in self.engine.active()
            if active.state == FIRING and active.labels["alertname"] == case.alertname
        ]
        expected = [
            Alerting({**alert.exp_labels, "alertname": case.alertname}, alert.exp_annotations)
            for alert in case.exp_alerts
        ]
        if _ordered(got) != _ordered(expected):
            yield Failure(self.name, f"alertname: {case.alertname}", case.eval_time, expected, got)

    def _compare_samples(self, case: ExpressionCase) -> Iterator[Failure]:
        subject = f"expr: {case.expr.text}"
        expected = [Valued(sample.labels, sample.value) for sample in case.exp_samples]
        try:
            got = self._samples(case)
        except EvaluationError as error:
            yield Failure(self.name, subject, case.eval_time, expected, error=str(error))
            return
        if not _agree(expected, got):
            yield Failure(self.name, subject, case.eval_time, expected, got)

    def _samples(self, case: ExpressionCase) -> list[Valued]:
        answer = case.expr.evaluate(self.window, self.start + case.eval_time, self.settings.options())
        if isinstance(answer, Scalar):
            return [Valued(Labels(), answer.value)]
        if not isinstance(answer, Vector):
            raise EvaluationError("the result is neither a vector nor a number")
        return [
            Valued(labels, value) for labels, value in zip(answer.labels, answer.values.tolist(), strict=True)
        ]


def _ordered(alerts: Sequence[Alerting]) -> list[tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    return sorted((sorted(alert.labels.items()), sorted(alert.annotations.items())) for alert in alerts)


def _agree(expected: Sequence[Valued], got: Sequence[Valued]) -> bool:
    ours, theirs = (sorted(rows, key=lambda row: row.labels.pairs) for rows in (got, expected))
    return len(ours) == len(theirs) and all(
        one.labels == other.labels and close(one.value, other.value)
        for one, other in zip(ours, theirs, strict=True)
    )


def close(one: float, other: float) -> bool:
    """Whether two values are the same, within TOLERANCE relative; NaN equals NaN.

    >>> close(0.1 + 0.2, 0.3), close(1.0, 1.0001), close(float("nan"), float("nan"))
    (True, False, True)
    """
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=TOLERANCE)


def run_test(loaded: Loaded, number: int) -> list[Failure]:
    """What fails in one test of the file."""
    test = loaded.tests[number]
    return list(_Run(loaded, test, test.name or f"unnamed#{number}").failures())
