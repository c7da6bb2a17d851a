"""Which results of the detectors are kept as series: what rules select, and for a while what queries do.

A rule's demand lasts as long as the rule. A query's demand ends KEEP after it was last asked, and queries
together may demand MOST_ASKED metrics: anybody may ask, and each demand costs up to three series a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import re2

from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, PEER_DEVIATION, SCORE, TREND_ETA
from detectors.engine import Scoring
from model.labels import NAME
from model.matcher import Matcher, Op
from model.moment import MINUTE, format_duration
from rules.group import RuleGroup
from rules.promql.expression import Expression
from telemetry.window import Window

KEEP = 15 * MINUTE
MOST_ASKED = 100
_SELECTING = (Op.EQUAL, Op.MATCHES)
RESULTS = (SCORE, EXPECTED_LOW, EXPECTED_HIGH, PEER_DEVIATION, TREND_ETA)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The results `result` of the metrics that `metric` matches; of one detector, or (None) of all."""

    result: str
    metric: Matcher
    detector: str | None = None

    def metrics(self, names: Iterable[str]) -> set[str]:
        """Those of the metrics that it selects; one that is named is selected though there is none yet."""
        if self.metric.op is Op.EQUAL:
            return {self.metric.value}
        pattern = re2.compile(self.metric.value)
        return {name for name in names if pattern.fullmatch(name)}


@dataclass(frozen=True, slots=True)
class Held:
    """One metric that is demanded for somebody."""

    metric: str
    result: str
    detector: str | None


class Demand:
    """Tells the detectors what is wanted, and when no longer. Times in ms."""

    def __init__(self, scoring: Scoring, window: Window) -> None:
        self._scoring = scoring
        self._window = window
        self._rules: set[Wanted] = set()
        self._ruled: set[Held] = set()
        self._asked: dict[Held, int] = {}
        self._generation = -1  # of the window, when it was last asked for its metrics
        self._names: list[str] = []

    def follow(self, groups: Iterable[RuleGroup], now: int) -> None:
        """These rules run from now on; their results are there from the next sample on."""
        self._rules = {
            wanted
            for group in groups
            for rule in group.rules
            for expression in rule.expressions
            for wanted in wanted_by(expression)
        }
        self._match(now)

    def ask(self, expression: Expression, now: int) -> list[str]:
        """Keep what a query selects for a while; a sentence for each metric whose results are not kept."""
        refused = set()
        for held in self._held(wanted_by(expression)):
            if held in self._ruled or not self._exists(held.metric):
                continue
            asked = {each.metric for each in self._asked}
            if held.metric not in asked and len(asked) >= MOST_ASKED:
                refused.add(held.metric)
                continue
            if held not in self._asked:
                self._scoring.demand(held.metric, held.result, held.detector)
            self._asked[held] = now
        return [
            f"the scores of {metric} are not kept: queries ask for {MOST_ASKED} metrics already, "
            f"each until {format_duration(KEEP)} after it was last asked for"
            for metric in sorted(refused)
        ]

    def step(self, now: int) -> None:
        """End what nobody has asked for lately; see which new metrics the rules' patterns match."""
        for held in [held for held, asked_at in self._asked.items() if now - asked_at >= KEEP]:
            del self._asked[held]
            self._scoring.release(held.metric, now, held.result, held.detector)
        if self._window.generation != self._generation:
            self._generation = self._window.generation
            names = self._window.metric_names()
            if names != self._names:
                self._names = names
                self._match(now)

    def _match(self, now: int) -> None:
        before, self._ruled = self._ruled, self._held(self._rules)
        for held in self._ruled - before:
            self._scoring.demand(held.metric, held.result, held.detector)
        for held in before - self._ruled:
            self._scoring.release(held.metric, now, held.result, held.detector)

    def _held(self, wanted: Iterable[Wanted]) -> set[Held]:
        return {
            Held(metric, each.result, each.detector)
            for each in wanted
            for metric in each.metrics(self._names)
        }

    def _exists(self, metric: str) -> bool:
        """A name that is no metric costs nobody anything, so it takes no place."""
        return bool(len(self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0]))


def wanted_by(expression: Expression) -> Iterator[Wanted]:
    """The results that an expression selects, as far as it says of which metrics."""
    for matchers in expression.selectors:
        named = {matcher.name: matcher.value for matcher in matchers if matcher.op is Op.EQUAL}
        of = [matcher for matcher in matchers if matcher.name == "metric" and matcher.op in _SELECTING]
        if named.get(NAME, "") in RESULTS and of:
            yield Wanted(named[NAME], of[0], named.get("detector"))
