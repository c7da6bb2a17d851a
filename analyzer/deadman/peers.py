"""Watchdogs of other servers: alerts that always fire, so that silence means a dead server or way.

peers.heard(alerts, now)            # what came in, whenever it comes
alerts += peers.step(now)           # DeadManSilent for each that is silent
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Column, Connection, MetaData, Table, Text

from alertmanager.matching import LabelMatch, parse_matchers
from analyzer.deadman.settings import PeerSettings
from model.alert import Alert
from model.labels import Labels, format_labels
from model.metric import Metric, Sample
from model.moment import MINUTE, format_duration, format_moment
from store.columns import Moment
from store.database import Schema
from store.kept import Kept

log = logging.getLogger("fleetowl.analyzer")

METRICS = (
    Metric("fleetowl_deadman_peers", "gauge", "Known watchdogs, by whether they are silent.", ("state",)),
)
NAME = "DeadManSilent"
SAVED_EVERY = MINUTE
"""How old the last sign on disk may be; a restart gives everybody who was not silent the whole time anew."""

_OWN = ("alertname", "tier", "severity", "kind")
"""Labels of a watchdog that say nothing of whose it is."""

_METADATA = MetaData()
_PEERS = Table(
    "deadman_peers",
    _METADATA,
    Column("labels", Text, primary_key=True),
    Column("heard_at", Moment, nullable=False),
    Column("silent_since", Moment),
)
SCHEMA = Schema("deadman", 1, _METADATA)


class Sign(NamedTuple):
    """When (ms) a watchdog was last heard of, and since when it counts as silent (None: it does not)."""

    heard_at: int
    silent_since: int | None = None


class Peers:
    """Who was heard of when; implements Durable.

    `news` are the alerts that began or ended: whoever tells them elsewhere takes them out.
    """

    def __init__(self, settings: PeerSettings) -> None:
        self._kept: Kept[Labels, Sign] = Kept(
            _PEERS,
            key_row=lambda labels: {"labels": json.dumps(labels.pairs)},
            value_row=Sign._asdict,
            read=lambda row: (
                Labels(dict(json.loads(row.labels))),
                Sign(row.heard_at, row.silent_since),
            ),
        )
        self._saved_at: dict[Labels, int] = {}
        self._stepped_at: int | None = None
        self._ended: list[Alert] = []
        self.news: list[Alert] = []
        self._configure(settings)

    def reconfigure(self, settings: PeerSettings) -> None:
        """Take other settings; who was heard of stays known."""
        self._configure(settings)

    def heard(self, alerts: Iterable[Alert], now: int) -> None:
        """These came in from other servers."""
        for alert in alerts:
            if self._matches(alert.labels) and not alert.resolved_at(now):
                self._note(alert.labels.without(*_OWN), now)

    def step(self, now: int) -> list[Alert]:
        """An alert for each that is silent, and once more with its end when it was heard again."""
        self._overslept(now)
        self._add_expected(now)
        for labels, sign in list(self._kept.items()):
            if now < sign.heard_at:  # the clock was set back
                self._kept[labels] = sign._replace(heard_at=now)
            elif not self._is_expected(labels) and now - sign.heard_at > self._settings.forget_after:
                log.warning("the watchdog %s is forgotten: it was silent for too long", format_labels(labels))
                self._end(labels, sign, now)
                del self._kept[labels]
            elif sign.silent_since is None and now - sign.heard_at >= self._settings.silence:
                log.warning("the watchdog %s is silent", format_labels(labels))
                self._kept[labels] = silent = sign._replace(silent_since=now)
                self.news.append(self._alert(labels, silent))
        ended, self._ended = self._ended, []
        self.news += ended
        return [*ended, *(self._alert(labels, sign) for labels, sign in self._silent())]

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        silent = len(list(self._silent()))
        yield Sample("fleetowl_deadman_peers", {"state": "heard"}, len(self._kept) - silent)
        yield Sample("fleetowl_deadman_peers", {"state": "silent"}, silent)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._kept.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Who was silent is still; the others have their whole time from now on, for we could not hear."""
        self._kept.load(tx)
        for labels, sign in self._kept.items():
            if sign.silent_since is None:
                self._kept.put(labels, Sign(now))

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._kept.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._kept.saved()

    def _configure(self, settings: PeerSettings) -> None:
        self._settings = settings
        self._matches = LabelMatch([one for line in settings.matchers for one in parse_matchers(line)])
        self._expected = [Labels(labels) for labels in settings.expect]

    def _note(self, labels: Labels, now: int) -> None:
        sign = self._kept.get(labels)
        if sign is not None and sign.silent_since is None:
            self._put(labels, now)
            return
        if sign is None:
            log.info("a watchdog was heard of: %s", format_labels(labels))
        else:
            self._end(labels, sign, now)
        self._kept[labels] = Sign(now)
        self._saved_at[labels] = now

    def _put(self, labels: Labels, now: int) -> None:
        """Not each of its signs is worth a write."""
        if now - self._saved_at.get(labels, 0) >= SAVED_EVERY:
            self._saved_at[labels] = now
            self._kept[labels] = Sign(now)
        else:
            self._kept.put(labels, Sign(now))

    def _end(self, labels: Labels, sign: Sign, now: int) -> None:
        if sign.silent_since is not None:
            self._ended.append(replace(self._alert(labels, sign), ends_at=now))

    def _overslept(self, now: int) -> None:
        """While we ourselves did not run (or the clock jumped) nobody could be heard."""
        before, self._stepped_at = self._stepped_at, now
        if before is None or now - before <= self._settings.silence / 2:
            return
        log.warning("no tick for %s: every watchdog has its whole time again", format_duration(now - before))
        for labels, sign in list(self._kept.items()):
            if sign.silent_since is None:
                self._kept.put(labels, Sign(now))

    def _add_expected(self, now: int) -> None:
        """Who is expected and was never heard of counts from now on; it goes when the real one comes."""
        for expected in self._expected:
            real = [one for one in self._kept if one != expected and _has(one, expected)]
            if not real and expected not in self._kept:
                self._kept[expected] = Sign(now)
            elif real and expected in self._kept:
                self._end(expected, self._kept[expected], now)
                del self._kept[expected]

    def _is_expected(self, labels: Labels) -> bool:
        return any(_has(labels, expected) for expected in self._expected)

    def _silent(self) -> Iterator[tuple[Labels, Sign]]:
        return ((labels, sign) for labels, sign in self._kept.items() if sign.silent_since is not None)

    def _alert(self, labels: Labels, sign: Sign) -> Alert:
        since = sign.silent_since or sign.heard_at
        whose = format_labels(labels) or "without labels"
        summary = f"The watchdog {whose} is silent: its server, or the way from there to us, is down"
        notes = {"summary": summary, "description": f"Last heard of at {format_moment(sign.heard_at)}."}
        own = {"alertname": NAME, "tier": self._settings.tier}
        return Alert(Labels({**dict(labels), **own}), notes, starts_at=since, kind="threshold")


def _has(labels: Labels, wanted: Labels) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())
