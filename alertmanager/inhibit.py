"""Inhibition: while a source fires, the targets that share its `equal` labels stay back.

Every firing source stands in an index by the values of its rule's `equal` labels, so that a question costs
one look-up a rule, however many alerts fire. Labels here are those that were sent: what Fleetowl implies
(a tier from a severity, an incident) plays no part, or a configuration would mean something else than in
Alertmanager.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from alertmanager.matching import LabelMatch, parse_matchers
from alertmanager.route import Route
from alertmanager.settings import InhibitRuleSettings
from alertmanager.tables import EpisodeKey
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.labels import format_labels
from model.matcher import Matcher, Op

Values = tuple[str, ...]

FREE = refuse("no inhibition rule holds it back")


class Source(NamedTuple):
    """A firing alert that holds others back, and the rule by which it does."""

    rule: str
    alert: Alert


@dataclass
class Bucket:
    """The sources with equal values; those that are targets of the same rule stand apart.

    Source: Alertmanager's InhibitRule.hasEqual: what matches both sides is not held by its like.
    """

    only: dict[EpisodeKey, Alert] = field(default_factory=dict)
    both: dict[EpisodeKey, Alert] = field(default_factory=dict)

    def firing(self, now: int, *, also_targets: bool) -> Alert | None:
        """The source that has been there for longest."""
        for sources in (self.only, self.both) if also_targets else (self.only,):
            for alert in sources.values():
                if not alert.resolved_at(now):
                    return alert
        return None


class Rule:
    """One rule with its sources. `name` is how sentences call it."""

    def __init__(self, settings: InhibitRuleSettings, position: int) -> None:
        self.source = side(settings.source_matchers, settings.source_match, settings.source_match_re)
        self.target = side(settings.target_matchers, settings.target_match, settings.target_match_re)
        self.equal = tuple(sorted(set(settings.equal)))
        self.name = settings.name or f"{position} ({self.source} over {self.target})"
        self._buckets: dict[Values, Bucket] = {}
        self._places: dict[EpisodeKey, tuple[Values, Alert]] = {}

    def observe(self, key: EpisodeKey, alert: Alert, now: int) -> bool:
        """Take in or let go of a source; whether there are other sources now than before."""
        if alert.resolved_at(now) or not self.source(alert.labels):
            return self._remove(key)
        known = key in self._places
        values = self._values(alert.labels)
        bucket = self._buckets.setdefault(values, Bucket())
        (bucket.both if self.target(alert.labels) else bucket.only)[key] = alert
        self._places[key] = (values, alert)
        return not known

    def get(self, key: EpisodeKey) -> Alert | None:
        """The source of this episode, if it is one."""
        place = self._places.get(key)
        return None if place is None else place[1]

    def holding(self, labels: Mapping[str, str], now: int) -> Alert | None:
        """The source that holds an alert with these labels back."""
        if not self._buckets or not self.target(labels):
            return None
        bucket = self._buckets.get(self._values(labels))
        if bucket is None:
            return None
        return bucket.firing(now, also_targets=not self.source(labels))

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def _remove(self, key: EpisodeKey) -> bool:
        if key not in self._places:
            return False
        values, _ = self._places.pop(key)
        bucket = self._buckets[values]
        bucket.only.pop(key, None)
        bucket.both.pop(key, None)
        if not bucket.only and not bucket.both:
            del self._buckets[values]
        return True

    def _values(self, labels: Mapping[str, str]) -> Values:
        """A label that is missing has the empty value, and so is equal to another that is missing."""
        return tuple(labels.get(name, "") for name in self.equal)


class Inhibition:
    """The stage `inhibit`."""

    name = "inhibit"

    def __init__(self, rules: Sequence[InhibitRuleSettings] = ()) -> None:
        self.version = 0
        self._ends: list[tuple[int, EpisodeKey]] = []
        self._watched: dict[EpisodeKey, int] = {}
        self._configure(rules)

    def reconfigure(self, rules: Sequence[InhibitRuleSettings], alerts: Iterable[Alert], now: int) -> None:
        """Take other rules, and their sources among the alerts that are known."""
        self._configure(rules)
        for alert in alerts:
            self.observe(alert, now)

    def observe(self, alert: Alert, now: int) -> None:
        """A source began, changed or ended."""
        key = (alert.fingerprint, alert.incident)
        changed = [rule.observe(key, alert, now) for rule in self._rules]
        if any(changed):
            self.version += 1
        if alert.ends_at is not None and any(key in rule for rule in self._rules):
            self._watch(key, alert.ends_at)

    def step(self, now: int) -> None:
        """Sources whose announced end has come hold nothing back any more."""
        while self._ends and self._ends[0][0] <= now:
            end, key = heapq.heappop(self._ends)
            if self._watched.get(key) == end:
                del self._watched[key]
                self._look_again(key, now)

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        """Whether a source holds the alert back, and by which rule."""
        source = next(self._sources(alert, now), None)
        if source is None:
            return FREE
        labels = format_labels(source.alert.labels)
        return allow(f"inhibit rule {source.rule}: the source {labels} fires")

    def sources_of(self, alert: Alert, now: int) -> tuple[int, ...]:
        """The fingerprints of what holds the alert back, of each rule that does."""
        return tuple(dict.fromkeys(source.alert.fingerprint for source in self._sources(alert, now)))

    def __len__(self) -> int:
        """How many sources fire, over all rules."""
        return sum(map(len, self._rules))

    def _sources(self, alert: Alert, now: int) -> Iterator[Source]:
        for rule in self._rules:
            holding = rule.holding(alert.labels, now)
            if holding is not None:
                yield Source(rule.name, holding)

    def _configure(self, rules: Sequence[InhibitRuleSettings]) -> None:
        self._rules = [Rule(rule, position) for position, rule in enumerate(rules)]
        self._ends.clear()
        self._watched.clear()
        self.version += 1

    def _watch(self, key: EpisodeKey, end: int) -> None:
        """Look at the source at its end; one that is announced anew and later is looked at too early once."""
        if end < self._watched.get(key, end + 1):
            self._watched[key] = end
            heapq.heappush(self._ends, (end, key))

    def _look_again(self, key: EpisodeKey, now: int) -> None:
        for rule in self._rules:
            alert = rule.get(key)
            if alert is not None:
                self.observe(alert, now)


def side(lines: Sequence[str], equal: Mapping[str, str], patterns: Mapping[str, str]) -> LabelMatch:
    """The matchers of one side of a rule, in the spelling of today and in the deprecated one."""
    return LabelMatch(
        [
            *(Matcher(name, Op.EQUAL, value) for name, value in sorted(equal.items())),
            *(Matcher(name, Op.MATCHES, value) for name, value in sorted(patterns.items())),
            *(matcher for line in lines for matcher in parse_matchers(line)),
        ]
    )
