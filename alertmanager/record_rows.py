"""What the records say, as a reader gets it. Times are ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from alertmanager.notification import Delivery
from model.labels import Labels


class Attempts(NamedTuple):
    """Attempts with the same answer: one, or several in a row.

    `follows` is the sentence of what was decided after the last of them.
    """

    first: int
    at: int
    last: int
    last_at: int
    ok: bool
    answer: str
    follows: str

    def joined(self, other: Attempts) -> Attempts | None:
        """Both as one, if the answers are the same and nothing lies between."""
        if (self.ok, self.answer) != (other.ok, other.answer) or other.first != self.last + 1:
            return None
        return self._replace(last=other.last, last_at=other.last_at, follows=other.follows)


@dataclass(frozen=True, slots=True)
class Noted:
    """A notification as it was decided; `listed` alerts are in it, `firing` and `resolved` it is about."""

    delivery: Delivery
    at: int
    sequence: int
    dedup_key: str
    tier: str
    title: str
    why: str
    group_labels: Mapping[str, str]
    incidents: tuple[str, ...]
    firing: frozenset[int]
    resolved: frozenset[int]
    listed: int
    attempts: tuple[Attempts, ...] = ()

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return any(attempts.ok for attempts in self.attempts)


@dataclass(frozen=True, slots=True)
class Hold:
    """A stage kept alerts back from a group; `until` is None while it does."""

    group_key: str
    receiver: str
    stage: str
    why: str
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An alert began, or ended (`ends_at` not after `at`), or its times changed, at `at`."""

    at: int
    labels: Labels
    starts_at: int = 0
    ends_at: int | None = None
    generator_url: str = ""
    incident: str = ""

    @property
    def ended(self) -> bool:
        """Whether the alert was over."""
        return self.ends_at is not None and self.ends_at <= self.at
