"""Which results of the detectors are kept as series: what rules select, and for a while what queries do.

A rule's demand lasts as long as the rule. A query's demand ends KEEP after it was last asked, and queries
together may demand MOST_ASKED metrics of MOST_SOURCES series, and never take the last tenth of the window:
anybody may ask, and each demand costs a few series a source. Of what is only matched by a pattern half as
much may be demanded: one broad query must leave room for who asks for a metric by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, PEER_DEVIATION, SCORE, TREND_ETA
from detectors.eligible import Kind, kind_of
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
_LISTED = 3  # metrics that a sentence names
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


class Told(NamedTuple):
    """What whoever asks should know."""

    warnings: list[str]
    """Which results are not kept, and why."""
    infos: list[str]
    """Which are not there, or not yet."""


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

    def ask(self, expression: Expression, now: int) -> Told:
        """Keep what a query selects for a while."""
        wanted = list(wanted_by(expression))
        named = self._held(each for each in wanted if each.metric.op is Op.EQUAL)
        infos = list(self._of_no_metric(expression))
        refused: dict[str, list[str]] = {}
        fresh: dict[str, list[str]] = {}
        for held in sorted(self._held(wanted) - self._ruled, key=lambda held: (held.metric, held.result)):
            sources = self._count(held.metric)
            if why := self._never(held.metric, sources):  # it costs nobody anything, so it takes no place
                infos += [why] if held in named else []
                continue
            if held not in self._asked:
                if why := self._too_much(held, sources, held in named):
                    refused.setdefault(why, []).append(held.metric)
                    continue
                self._scoring.demand(held.metric, held.result, held.detector)
                fresh.setdefault(held.result, []).append(held.metric)
            self._asked[held] = now
            self._sources[held.metric] = sources
        infos += [
            f"{result} of {_listed(metrics)} is made from the next sample on, or when its series are warm: "
            "ask again then"
            for result, metrics in fresh.items()
        ]
        warnings = [f"the scores of {_listed(it)} are not kept: {why}" for why, it in refused.items()]
        return Told(warnings, list(dict.fromkeys(infos)))

    def _of_no_metric(self, expression: Expression) -> Iterator[str]:
        for result in dict.fromkeys(_of_any_metric(expression, self._scoring)):
            there = len({held.metric for held in {*self._ruled, *self._asked} if held.result == result})
            yield (
                f"{result} of single series is made for the metrics that a rule or a query names, {there} at "
                f'the moment, not for all: name one, {result}{{metric="node_load1"}}, and ask again after '
                "its next sample"
            )

    def _never(self, metric: str, sources: int) -> str:
        """Why there will be no result of this metric; empty if there may be."""
        if kind_of(metric, self._window.type_of(metric)) is Kind.NEVER:
            return f"{metric} is never scored: see docs/detection-inputs.md"
        return "" if sources else f"there is no series of the metric {metric}"

    def _too_much(self, held: Held, sources: int, named: bool) -> str:
        """Why this one goes too far; empty if it does not."""
        until = f"each until {format_duration(KEEP)} after it was last asked for"
        share = 1 if named else 2
        if held.metric not in self._sources:
            metrics, asked = len(self._sources), sum(self._sources.values())
            if metrics >= MOST_ASKED // share:
                way_out = "name it in a rule to keep it" if named else "ask for it by name, without a pattern"
                return f"queries ask for {metrics} metrics already, {until}; {way_out}"
            if asked + sources > MOST_SOURCES // share:
                return (
                    f"it has {sources} series, and queries ask for {asked} of at most "
                    f"{MOST_SOURCES // share}, {until}; name its metric in a rule to keep them all"
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


def _listed(metrics: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    distinct = list(dict.fromkeys(metrics))
    more = len(distinct) - _LISTED
    return ", ".join(distinct[:_LISTED]) + (f" and {more} more" if more > 0 else "")


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
