"""All silences: their life cycle, their table, and the stage `silence`."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from alertmanager.route import Route, routing_labels
from alertmanager.silences.index import Index
from alertmanager.silences.silence import (
    Draft,
    RefusedSilence,
    Silence,
    State,
    UnknownSilence,
    can_become,
    check,
    ordered,
)
from alertmanager.silences.tables import kept_silences
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.metric import Metric, Sample
from model.moment import HOUR, format_moment
from model.settings import format_size

METRICS = (Metric("fleetowl_alertmanager_silences", "gauge", "Silences that are remembered.", ("state",)),)

FREE = refuse("no silence matches it")


class Limits(NamedTuple):
    """What one may ask of the book; `most` and `size` of 0 are no limit.

    `most` counts ended silences too, `size` is in bytes, `retention` (ms) is how long ended ones are kept.
    """

    most: int = 10_000
    size: int = 64 * 1024
    retention: int = 120 * HOUR


class Change(NamedTuple):
    """What a call did: the silence it left, and what stood before under each id that it touched."""

    id: str
    before: dict[str, Silence | None]


class Silences:
    """Silences by id; implements Stage and Durable. `new_id` makes the ids."""

    name = "silence"

    def __init__(
        self, limits: Limits | None = None, new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self.limits = limits or Limits()
        self.plain = False  # with a plain alertmanager.yml silences see what was sent, and nothing else
        self._new_id = new_id
        self._kept = kept_silences()
        self._index = Index()
        self._turns: list[tuple[int, str]] = []
        self._now = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, silence: str) -> Silence | None:
        """The silence of this id, also an ended one for some time."""
        return self._kept.get(silence)

    def ordered(self, now: int) -> list[Silence]:
        """All of them, as a list shows them."""
        return ordered(list(self._kept.values()), now)

    def see(self, *, plain: bool) -> None:
        """What they see of an alert from now on; what was found before may not hold any more."""
        if plain is not self.plain:
            self.plain = plain
            self._index.start_over()

    # The life cycle.

    def set(self, draft: Draft, now: int) -> Change:
        """Make a silence, or change one; where that cannot be in place, the old one ends and another begins.

        Raises RefusedSilence and UnknownSilence; nothing has changed then.
        """
        check(draft, now)
        old = self._kept.get(draft.id) if draft.id else None
        if draft.id and old is None:
            raise UnknownSilence(f"there is no silence {draft.id}")
        if old is not None and can_become(old, draft, now):
            return self._put([self._fitting(_made(draft, old.id, now, starts_at=draft.starts_at))], now)
        if self.limits.most and len(self._kept) >= self.limits.most:
            raise RefusedSilence(
                f"there are {len(self._kept)} silences, also ended ones, and {self.limits.most} are the most"
            )
        made = self._fitting(_made(draft, self._new_id(), now, starts_at=max(draft.starts_at, now)))
        ended = [_ended(old, now)] if old is not None and old.state(now) is not State.EXPIRED else []
        return self._put([*ended, made], now)

    def expire(self, silence: str, now: int) -> Change:
        """End a silence now; one that has ended stays as it is. Raises UnknownSilence."""
        old = self._kept.get(silence)
        if old is None:
            raise UnknownSilence(f"there is no silence {silence}")
        if old.state(now) is State.EXPIRED:
            return Change(silence, {})
        return self._put([_ended(old, now)], now)

    def revert(self, change: Change, now: int) -> None:
        """Undo a change that could not be put on disk."""
        for key, before in change.before.items():
            if before is None:
                self._remove(key)
            else:
                self._kept[key] = before
                self._turn(key, now)

    # The stage.

    @property
    def version(self) -> int:
        """Changes whenever a silence begins, ends, or is another."""
        return self._index.version

    def observe(self, alert: Alert, now: int) -> None:
        """What has ended is not remembered."""
        if alert.resolved_at(now):
            self.forget(alert)

    def step(self, now: int) -> None:
        """Silences begin and end by the clock, and are forgotten long after their end."""
        if now < self._now:  # the clock was set back: what ended may hold again
            for key in list(self._kept):
                self._turn(key, now)
        self._now = now
        while self._turns and self._turns[0][0] <= now:
            _, key = heapq.heappop(self._turns)
            if key in self._kept:
                self._turn(key, now)

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        """Whether a silence matches, and which."""
        ids = self.silenced_by(alert, now)
        if ids:
            return allow(self._kept[ids[0]].until())
        freed = self._index.freed((alert.fingerprint, alert.incident))
        if not freed:
            return FREE
        silence = self._kept.get(freed)
        ended = f" at {format_moment(silence.ends_at)}" if silence else ""
        return refuse(f"it is told now because silence {freed} ended{ended}")

    def silenced_by(self, alert: Alert, now: int) -> tuple[str, ...]:
        """The ids of the silences that hold and match; they see what routes see (tier and incident too)."""
        key = (alert.fingerprint, alert.incident)
        if not self._index.may_match(key):
            return ()
        return self._index.matching(
            key, routing_labels(alert, plain=self.plain), remember=not alert.resolved_at(now)
        )

    def forget(self, alert: Alert) -> None:
        """Nothing is remembered of an alert that nobody observes: its end would not be seen."""
        self._index.forget((alert.fingerprint, alert.incident))

    def samples(self, now: int) -> Iterator[Sample]:
        """Own metrics."""
        states = [silence.state(now) for silence in self._kept.values()]
        for state in State:
            yield Sample("fleetowl_alertmanager_silences", {"state": state.value}, states.count(state))

    # The state on disk.

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._kept.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over what was kept."""
        self._kept.load(tx)
        self._turns.clear()
        self._now = now
        for key in list(self._kept):
            self._turn(key, now)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._kept.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._kept.saved()

    def _fitting(self, silence: Silence) -> Silence:
        size = silence.size()
        if self.limits.size and size > self.limits.size:
            raise RefusedSilence(
                f"the silence has {format_size(size)}, and {format_size(self.limits.size)} are the most"
            )
        return silence

    def _put(self, silences: list[Silence], now: int) -> Change:
        before = {silence.id: self._kept.get(silence.id) for silence in silences}
        for silence in silences:
            self._kept[silence.id] = silence
            self._turn(silence.id, now)
        return Change(silences[-1].id, before)

    def _turn(self, key: str, now: int) -> None:
        """Bring the index to what the silence is now, and look again when that changes."""
        silence = self._kept[key]
        state = silence.state(now)
        if state is State.EXPIRED and now >= silence.ends_at + self.limits.retention:
            self._remove(key)
            return
        if (state is State.ACTIVE) != (key in self._index):
            if state is State.ACTIVE:
                self._index.add(silence)
            else:
                self._index.remove(key)
        moments = {State.PENDING: silence.starts_at, State.ACTIVE: silence.ends_at}
        heapq.heappush(self._turns, (moments.get(state, silence.ends_at + self.limits.retention), key))

    def _remove(self, key: str) -> None:
        del self._kept[key]
        if key in self._index:
            self._index.remove(key)


def _made(draft: Draft, key: str, now: int, starts_at: int) -> Silence:
    return Silence(
        key,
        draft.matchers,
        starts_at,
        draft.ends_at,
        draft.created_by,
        draft.comment,
        updated_at=now,
        annotations=draft.annotations,
    )


def _ended(silence: Silence, now: int) -> Silence:
    """It ends now; one that was to come never begins."""
    return replace(silence, starts_at=min(silence.starts_at, now), ends_at=now, updated_at=now)
