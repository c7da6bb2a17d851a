"""The alerts that were accepted: merged with what is known of them, resolved when nobody repeats them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from alertmanager.tables import EpisodeKey, kept_alerts
from model.alert import Alert
from model.labels import Labels

if TYPE_CHECKING:
    from alertmanager.grouping import Group


class Episode:
    """What is known of an accepted alert beside itself, and is not on disk.

    `heard` (ms) is when it was reported last; `until` is when it ends unless somebody repeats it, and
    `queued` when that is looked at next; `groups` are those that it is in; `marks` are the stages that have
    counted it (see noise.py).
    """

    __slots__ = ("groups", "heard", "marks", "queued", "until")

    def __init__(self, heard: int, until: int) -> None:
        self.heard = heard
        self.until = until
        self.queued = 0
        self.groups: tuple[Group, ...] = ()
        self.marks = 0


class Span(NamedTuple):
    """When an alert is true (ms): its start, the end that was said, its end unless it is repeated."""

    starts_at: int
    ends_at: int | None
    until: int

    def resolved_at(self, now: int) -> bool:
        """Whether it has ended by `now` (ms)."""
        return self.ends_at is not None and self.ends_at <= now


def merge(old: Span, new: Span, now: int) -> Span:
    """One alert out of what was known and what came in.

    Source: Alertmanager's provider/mem Put (what overlaps) and types.Alert.Merge (what remains). Where one
    lies within the other the start is the earliest; of two ends of resolved alerts the later counts; an end
    that was said, not timed out, is not shortened by an alert that fires. Otherwise the new one replaces it.
    """
    began_within = old.starts_at < new.starts_at < old.until
    ended_within = old.starts_at < new.until < old.until
    if not (began_within or ended_within):
        return new
    starts_at = min(old.starts_at, new.starts_at)
    if old.until > new.until:
        if new.resolved_at(now):
            if old.resolved_at(now):
                return Span(starts_at, old.until, old.until)
        elif old.ends_at is not None:
            return Span(starts_at, None if new.ends_at is None else old.until, old.until)
    return Span(starts_at, new.ends_at, new.until)


class Alerts:
    """Accepted alerts by episode: an alert that comes again in another incident is another episode."""

    def __init__(self, resolve_timeout: int) -> None:
        self.resolve_timeout = resolve_timeout
        self._now = 0
        self._fired: set[EpisodeKey] = set()  # had not ended when they were written; until `restored`
        self.kept = kept_alerts(lambda alert: alert.resolved_at(self._now), self._fired)
        self.moved: list[EpisodeKey] = []
        self.received = 0
        self._episodes: dict[EpisodeKey, Episode] = {}
        self._current: dict[int, EpisodeKey] = {}
        self._deadlines: list[tuple[int, EpisodeKey]] = []

    def __getitem__(self, key: EpisodeKey) -> Alert:
        return self.kept[key]

    def __iter__(self) -> Iterator[EpisodeKey]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def episode(self, key: EpisodeKey) -> Episode:
        """What is known of it beside itself."""
        return self._episodes[key]

    def knows(self, fingerprint: int) -> bool:
        """Whether an episode of this alert is kept."""
        return fingerprint in self._current

    def find(self, alert: Alert) -> Episode | None:
        """What is known of an alert beside itself, if it is kept."""
        return self._episodes.get((alert.fingerprint, alert.incident))

    @property
    def next_at(self) -> int | None:
        """When (ms) `expire` is to be asked next, at the latest."""
        return self._deadlines[0][0] if self._deadlines else None

    def restored(self, now: int, was: int | None = None) -> None:
        """After loading, or when the clock went back from `was` to `now`: silence counts from `now` on.

        For nobody could be heard while we were away. Ends that were in the future when they were written
        may have been moved on since (which is not written each time), so they count from now on too, even
        where they have passed by now; what had ended stays so.
        """
        limit = now if was is None else was
        self._now = now
        until = now + self.resolve_timeout
        self._episodes, self._deadlines = {}, []
        for key, alert in list(self.kept.items()):
            if key in self._fired and alert.resolved_at(now):
                alert = spoken(alert, alert.labels, alert.starts_at, None)
                self.kept.put(key, alert)
            if alert.resolved_at(limit):
                if not alert.resolved_at(now):
                    self.kept[key] = alert = replace(alert, ends_at=now)
                self._episodes[key] = Episode(now, alert.ends_at or now)
            else:
                self._episodes[key] = Episode(now, max(until, alert.ends_at or 0))
                self._queue(key, self._episodes[key])
        self._fired.clear()
        self._current = {}
        for key in sorted(self.kept, key=lambda key: self.kept[key].starts_at):
            self._current[key[0]] = key

    def take(self, alert: Alert, now: int) -> list[EpisodeKey]:
        """Accept one alert; returns the episodes that began, changed or ended by it.

        One that only says another end in the future than before stands in `moved` until the next step.
        """
        self.received += 1
        current = self._current.get(alert.fingerprint)
        if alert.resolved_at(now):
            return self._take_end(alert, current, now)
        if current is None:
            key = (alert.fingerprint, alert.incident)
            self._current[key[0]] = key
            return self._put(key, alert, now)
        if current[1] == alert.incident:
            return self._put(current, alert, now)
        key = (current[0], alert.incident)
        self._current[key[0]] = key
        return self._end(current, now) + self._put(key, alert, now)

    def expire(self, now: int) -> list[EpisodeKey]:
        """The episodes that ended by `now` without a word: their end passed, or nobody repeated them."""
        self._now = now
        ended = []
        while self._deadlines and self._deadlines[0][0] <= now:
            at, key = heapq.heappop(self._deadlines)
            episode = self._episodes.get(key)
            if episode is None or episode.queued != at:
                continue
            episode.queued = 0
            if episode.until > now:
                self._queue(key, episode)
            else:
                ended += self._end(key, now) or [key]
        return ended

    def forget(self, key: EpisodeKey) -> None:
        """Everybody who must know of this episode does."""
        del self.kept[key]
        del self._episodes[key]
        if self._current.get(key[0]) == key:
            del self._current[key[0]]

    def _take_end(self, alert: Alert, current: EpisodeKey | None, now: int) -> list[EpisodeKey]:
        if current is None:
            return []  # ended before anybody could be told
        key = (current[0], alert.incident)
        if key not in self.kept:
            key, alert = current, replace(alert, incident=current[1])
        return self._put(key, alert, now)

    def _put(self, key: EpisodeKey, alert: Alert, now: int) -> list[EpisodeKey]:
        """Store the alert; what changed in when it was true (words alone are no reason to write)."""
        until = now + self.resolve_timeout if alert.ends_at is None else alert.ends_at
        old, episode = self.kept.get(key), self._episodes.get(key)
        if old is None or episode is None:
            episode = self._episodes[key] = Episode(now, until)
            self.kept[key] = alert
            self._queue(key, episode)
            return [key]
        episode.heard = now
        if old.starts_at == alert.starts_at and old.ends_at is None and alert.ends_at is None:
            self._reword(key, old, alert)
            episode.until = until
            return []
        known = Span(old.starts_at, old.ends_at, episode.until)
        span = merge(known, Span(alert.starts_at, alert.ends_at, until), now)
        alert = spoken(alert, old.labels, span.starts_at, span.ends_at)
        episode.until = span.until
        if not alert.resolved_at(now):
            self._queue(key, episode)
        if not _news(old, alert, now):
            self.kept.put(key, alert)
            if old.ends_at != alert.ends_at:
                self.moved.append(key)
            return []
        self.kept[key] = alert
        return [key]

    def _reword(self, key: EpisodeKey, old: Alert, new: Alert) -> None:
        if new.labels is old.labels:
            self.kept.put(key, new)
        elif not _same_words(old, new):
            self.kept.put(key, spoken(new, old.labels, new.starts_at, new.ends_at))

    def _queue(self, key: EpisodeKey, episode: Episode) -> None:
        """Look at the episode when its time is up; a later time is found when the earlier one comes."""
        if not episode.queued or episode.until < episode.queued:
            episode.queued = episode.until
            heapq.heappush(self._deadlines, (episode.until, key))

    def _end(self, key: EpisodeKey, now: int) -> list[EpisodeKey]:
        alert = self.kept[key]
        if alert.resolved_at(now):
            self.kept.touch(key)  # an end that was said has come: what is on disk takes it for open
            return []
        self.kept[key] = replace(alert, ends_at=now)
        self._episodes[key].until = now
        return [key]


def spoken(alert: Alert, labels: Labels, starts_at: int, ends_at: int | None) -> Alert:
    """The alert's words with other labels and times; five times as fast as dataclasses.replace.

    Labels that are equal but have been here for longer know their fingerprint already.
    """
    return Alert(
        labels,
        alert.annotations,
        starts_at,
        ends_at,
        alert.value,
        alert.generator_url,
        alert.incident,
        alert.kind,
        alert.deadline,
        alert.entity,
        alert.runbook,
    )


def _news(old: Alert, new: Alert, now: int) -> bool:
    """Whether it began or ended at other times; an end in the future is no end yet."""
    if old.starts_at != new.starts_at or old.resolved_at(now) != new.resolved_at(now):
        return True
    return new.resolved_at(now) and old.ends_at != new.ends_at


def _same_words(old: Alert, new: Alert) -> bool:
    return (
        (old.value == new.value or (old.value != old.value and new.value != new.value))
        and old.annotations == new.annotations
        and old.generator_url == new.generator_url
        and old.deadline == new.deadline
        and (old.kind, old.entity, old.runbook) == (new.kind, new.entity, new.runbook)
    )
