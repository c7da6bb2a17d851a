"""Which metrics' scores are kept as series: those that a rule selects, and for a while those asked for.

A rule's demand lasts as long as the rule. A query's demand ends KEEP after it was last asked, and queries
together may demand MOST_ASKED metrics: anybody may ask, and each demand costs three series a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detectors.companions import NAMES
from detectors.engine import Scoring
from model.labels import NAME
from model.matcher import Matcher, Op
from model.moment import MINUTE, format_duration
from rules.group import RuleGroup
from rules.promql.expression import Expression
from telemetry.window import Window

KEEP = 15 * MINUTE
MOST_ASKED = 100


class Demand:
    """Tells the detectors what is wanted, and when no longer. Times in ms."""

    def __init__(self, scoring: Scoring, window: Window) -> None:
        self._scoring = scoring
        self._window = window
        self._ruled: frozenset[str] = frozenset()
        self._asked: dict[str, int] = {}

    def follow(self, groups: Iterable[RuleGroup], now: int) -> None:
        """These rules run from now on; their results are there from the next sample on."""
        before, self._ruled = (
            self._ruled,
            frozenset(
                metric
                for group in groups
                for rule in group.rules
                for expression in rule.expressions
                for metric in scored_metrics(expression)
            ),
        )
        for metric in self._ruled:
            self._scoring.demand(metric)
        for metric in before - self._ruled - self._asked.keys():
            self._scoring.release(metric, now)

    def ask(self, expression: Expression, now: int) -> list[str]:
        """Keep what a query selects for a while; a sentence for each metric whose scores are not kept."""
        sentences = []
        for metric in scored_metrics(expression):
            if metric in self._ruled or not self._exists(metric):
                continue
            if metric not in self._asked and len(self._asked) >= MOST_ASKED:
                sentences.append(
                    f"the scores of {metric} are not kept: queries ask for {MOST_ASKED} metrics already, "
                    f"each until {format_duration(KEEP)} after it was last asked for"
                )
                continue
            self._asked[metric] = now
            self._scoring.demand(metric)
        return sentences

    def step(self, now: int) -> None:
        """End what nobody has asked for lately."""
        for metric in [metric for metric, asked_at in self._asked.items() if now - asked_at >= KEEP]:
            del self._asked[metric]
            if metric not in self._ruled:
                self._scoring.release(metric, now)

    def _exists(self, metric: str) -> bool:
        """A name that is no metric costs nobody anything, so it takes no place."""
        return bool(len(self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0]))


def scored_metrics(expression: Expression) -> Iterator[str]:
    """The metrics whose scores an expression selects by name."""
    for matchers in expression.selectors:
        named = {matcher.name: matcher.value for matcher in matchers if matcher.op is Op.EQUAL}
        if named.get(NAME, "") in NAMES and "metric" in named:
            yield named["metric"]
