"""Which results of the detectors are kept as series: what rules select, and for a while what queries do.

A rule's demand lasts as long as the rule. A query's demand ends KEEP after it was last asked, and queries
together may demand MOST_ASKED metrics of MOST_SOURCES series, and never take the last tenth of the window:
anybody may ask, and each demand costs a few series a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, PEER_DEVIATION, SCORE, TREND_ETA
from detectors.engine import Scoring
from model.labels import NAME
from model.matcher import Matcher, Op
from model.moment import MINUTE, format_duration
from rules.group import RuleGroup
from rules.promql.expression import Expression
from telemetry.matching import expression
from telemetry.window import Window

KEEP = 15 * MINUTE
MOST_ASKED = 100
MOST_SOURCES = 20_000
SHARE = 0.9  # of the window's series: what queries make is not to push out what is measured
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
        pattern = expression(self.metric.value)
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
        self._sources: dict[str, int] = {}  # by metric that queries ask for, its series
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
        refused = {}
        for held in sorted(self._held(wanted_by(expression)), key=lambda held: held.metric):
            sources = self._count(held.metric)
            if held in self._ruled or not sources:
                continue  # a name that is no metric costs nobody anything, so it takes no place
            if held not in self._asked:
                if why := self._too_much(held, sources):
                    refused[held.metric] = why
                    continue
                self._scoring.demand(held.metric, held.result, held.detector)
            self._asked[held] = now
            self._sources[held.metric] = sources
        return [f"the scores of {metric} are not kept: {why}" for metric, why in refused.items()]

    def notes(self, expression: Expression) -> list[str]:
        """What whoever asks should know before `ask`: which results are not there, or not yet."""
        found = []
        for result in dict.fromkeys(_of_any_metric(expression, self._scoring)):
            there = len({held.metric for held in {*self._ruled, *self._asked} if held.result == result})
            found.append(
                f"{result} of single series is made for the metrics that a rule or a query names, {there} at "
                f'the moment, not for all: name one, {result}{{metric="node_load1"}}, and ask again after '
                "its next sample"
            )
        for held in sorted(self._held(wanted_by(expression)), key=lambda held: held.metric):
            if held not in self._ruled and held not in self._asked and self._count(held.metric):
                found.append(
                    f"{held.result} of {held.metric} is made from its next sample on: ask again then"
                )
        return found

    def _too_much(self, held: Held, sources: int) -> str:
        """Why this one goes too far; empty if it does not."""
        until = f"each until {format_duration(KEEP)} after it was last asked for"
        if held.metric not in self._sources:
            if len(self._sources) >= MOST_ASKED:
                return f"queries ask for {MOST_ASKED} metrics already, {until}"
            asked = sum(self._sources.values())
            if asked + sources > MOST_SOURCES:
                return (
                    f"it has {sources} series, and queries ask for {asked} of at most {MOST_SOURCES}, "
                    f"{until}; name its metric in a rule to keep them all"
                )
        made = sum(self._cost(each, self._sources[each.metric]) for each in self._asked)
        most = int(SHARE * self._window.limits.series)
        if self._window.series_count + made + self._cost(held, sources) > most:
            return (
                f"the window would hold more than {most} series, and the last tenth is for what is measured"
            )
        return ""

    def _cost(self, held: Held, sources: int) -> int:
        return sources * self._scoring.cost(held.result, held.detector)

    def step(self, now: int) -> None:
        """End what nobody has asked for lately; see which new metrics the rules' patterns match."""
        for held in [held for held, asked_at in self._asked.items() if now - asked_at >= KEEP]:
            del self._asked[held]
            self._scoring.release(held.metric, now, held.result, held.detector)
            if all(each.metric != held.metric for each in self._asked):
                del self._sources[held.metric]
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

    def _count(self, metric: str) -> int:
        return len(self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0])


def wanted_by(expression: Expression) -> Iterator[Wanted]:
    """The results that an expression selects, as far as it says of which metrics."""
    for matchers in expression.selectors:
        named = {matcher.name: matcher.value for matcher in matchers if matcher.op is Op.EQUAL}
        of = [matcher for matcher in matchers if matcher.name == "metric" and matcher.op in _SELECTING]
        if named.get(NAME, "") in RESULTS and of:
            yield Wanted(named[NAME], of[0], named.get("detector"))


def _of_any_metric(expression: Expression, scoring: Scoring) -> Iterator[str]:
    """The results that an expression selects of series, without saying of which metrics."""
    whole = {detector.name for detector in scoring.detectors if not detector.by_source}
    for matchers in expression.selectors:
        named = {matcher.name: matcher.value for matcher in matchers if matcher.op is Op.EQUAL}
        said = {matcher.name for matcher in matchers if matcher.op in _SELECTING}
        of_entities = "entity" in said or named.get("detector") in whole
        if named.get(NAME, "") in RESULTS and "metric" not in said and not of_entities:
            yield named[NAME]
