"""The alerts that were accepted: merged with what is known of them, resolved when nobody repeats them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace

from alertmanager.tables import EpisodeKey, kept_alerts
from model.alert import Alert


def merge(old: Alert, new: Alert, now: int) -> Alert:
    """One alert out of what was known and what came in. Source: Alertmanager's types.Alert.Merge.

    Overlapping: the earliest start, the newest annotations, of two ends the later. Without overlap
    the alert began anew and the old one is history.
    """
    if not _overlap(old, new):
        return new
    starts_at = min(old.starts_at, new.starts_at)
    ends_at = new.ends_at
    if ends_at is not None and old.ends_at is not None and new.resolved_at(now) and old.resolved_at(now):
        ends_at = max(old.ends_at, ends_at)
    if (starts_at, ends_at) == (new.starts_at, new.ends_at):
        return new
    return replace(new, starts_at=starts_at, ends_at=ends_at)


def _overlap(old: Alert, new: Alert) -> bool:
    starts_before_end = old.ends_at is None or new.starts_at < old.ends_at
    ends_after_start = new.ends_at is None or new.ends_at > old.starts_at
    return starts_before_end and ends_after_start


class Alerts:
    """Accepted alerts by episode: an alert that comes again in another incident is another episode."""

    def __init__(self, resolve_timeout: int) -> None:
        self.resolve_timeout = resolve_timeout
        self.kept = kept_alerts()
        self._heard: dict[EpisodeKey, int] = {}
        self._current: dict[int, EpisodeKey] = {}
        self._deadlines: list[tuple[int, EpisodeKey]] = []

    def __getitem__(self, key: EpisodeKey) -> Alert:
        return self.kept[key]

    def __iter__(self) -> Iterator[EpisodeKey]:
        return iter(self.kept)

    def restored(self, now: int) -> None:
        """After loading: silence counts from `now` on, for nobody could be heard while we were away."""
        self._heard = dict.fromkeys(self.kept, now)
        self._current = {}
        for key in sorted(self.kept, key=lambda key: self.kept[key].starts_at):
            self._current[key[0]] = key
        self._deadlines = [(now, key) for key in self.kept]
        heapq.heapify(self._deadlines)

    def take(self, alert: Alert, now: int) -> list[EpisodeKey]:
        """Accept one alert; returns the episodes that changed by it."""
        key = (alert.fingerprint, alert.incident)
        current = self._current.get(key[0])
        changed = []
        if alert.resolved_at(now):
            if current is None:
                return []  # ended before anybody could be told
            if key not in self.kept:
                key, alert = current, replace(alert, incident=current[1])
        elif current is not None and current != key:
            changed += self._end(current, now)
            self._current[key[0]] = key
        self._heard[key] = now
        self._current.setdefault(key[0], key)
        if self._put(key, alert, now):
            changed.append(key)
        return changed

    def expire(self, now: int) -> list[EpisodeKey]:
        """The episodes that ended by `now` without a word: their end passed, or nobody repeated them."""
        ended = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, key = heapq.heappop(self._deadlines)
            alert = self.kept.get(key)
            if alert is None:
                continue
            deadline = self._deadline(key, alert)
            if deadline > now:
                heapq.heappush(self._deadlines, (deadline, key))
            else:
                ended += self._end(key, now) or [key]
        return ended

    def knows(self, fingerprint: int) -> bool:
        """Whether an episode of this alert is kept."""
        return fingerprint in self._current

    def heard_at(self, key: EpisodeKey) -> int:
        """When (ms) somebody last reported this episode; 0 if it is not kept."""
        return self._heard.get(key, 0)

    def next_at(self) -> int | None:
        """When (ms) `expire` is to be asked next, at the latest; None if never."""
        return self._deadlines[0][0] if self._deadlines else None

    def forget(self, key: EpisodeKey) -> None:
        """Everybody who must know of this episode does."""
        del self.kept[key]
        del self._heard[key]
        if self._current.get(key[0]) == key:
            del self._current[key[0]]

    def _put(self, key: EpisodeKey, alert: Alert, now: int) -> bool:
        """Store the alert; whether when it was true changed (words alone are no reason to write)."""
        old = self.kept.get(key)
        merged = alert if old is None else merge(old, alert, now)
        if old is not None and (old.starts_at, old.ends_at) == (merged.starts_at, merged.ends_at):
            self.kept.put(key, merged)
            return False
        self.kept[key] = merged
        if merged.ends_at is None or merged.ends_at > now:
            heapq.heappush(self._deadlines, (self._deadline(key, merged), key))
        return True

    def _end(self, key: EpisodeKey, now: int) -> list[EpisodeKey]:
        alert = self.kept[key]
        if alert.resolved_at(now):
            return []
        self.kept[key] = replace(alert, ends_at=now)
        return [key]

    def _deadline(self, key: EpisodeKey, alert: Alert) -> int:
        return self._heard[key] + self.resolve_timeout if alert.ends_at is None else alert.ends_at
