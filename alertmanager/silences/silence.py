"""One silence: what it matches, when it holds, who made it and why.

What may become of one follows Alertmanager's silence package: `check` what is no silence at all, and
`can_become` when a change keeps the id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from model.matcher import Matcher, Op
from model.moment import SECOND, format_moment
from telemetry.matching import InvalidMatcher, predicate


class RefusedSilence(ValueError):
    """What was asked for is no silence, or there is no room for it; the sentence says why."""


class UnknownSilence(LookupError):
    """No silence has this id."""


class State(Enum):
    """Where a silence stands in its life; the order is that of a list of them."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Draft:
    """A silence as somebody asks for it; with an `id` it is to replace that one. Times are ms."""

    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    created_by: str
    comment: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence that was taken. It holds from `starts_at` until just before `ends_at` (ms)."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    created_by: str
    comment: str
    updated_at: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def state(self, now: int) -> State:
        """Whether it holds at `now`, will, or did."""
        if now < self.starts_at:
            return State.PENDING
        return State.ACTIVE if now < self.ends_at else State.EXPIRED

    def size(self) -> int:
        """Bytes of its texts."""
        texts = [self.created_by, self.comment, *self.annotations, *self.annotations.values()]
        texts += [text for matcher in self.matchers for text in (matcher.name, matcher.value)]
        return sum(len(text.encode()) for text in texts)

    def __str__(self) -> str:
        matchers = ", ".join(map(str, self.matchers))
        return f"silence {self.id} ({matchers}) by {self.created_by or 'nobody'}: {self.comment}"

    def until(self) -> str:
        """The sentence of an alert that it holds back."""
        return f"{self}, until {format_moment(self.ends_at)}"


def check(draft: Draft, now: int) -> None:
    """Raises RefusedSilence with what is wrong in a draft."""
    if not draft.matchers:
        raise RefusedSilence("at least one matcher is required")
    for position, matcher in enumerate(draft.matchers):
        _check_matcher(matcher, position)
    if all(_only_empty(matcher) for matcher in draft.matchers):
        raise RefusedSilence(
            "at least one matcher must match a non-empty value: these match every alert without the label"
        )
    if draft.ends_at <= draft.starts_at:
        raise RefusedSilence("start time must be before end time")
    if draft.ends_at < now:
        raise RefusedSilence("end time can't be in the past")


def can_become(old: Silence, draft: Draft, now: int) -> bool:
    """Whether a silence may be changed in place; otherwise it ends and another one begins."""
    if sorted(map(str, old.matchers)) != sorted(map(str, draft.matchers)):
        return False
    match old.state(now):
        case State.ACTIVE:
            return old.starts_at // SECOND == draft.starts_at // SECOND and draft.ends_at >= now
        case State.PENDING:
            return draft.starts_at >= now
        case State.EXPIRED:
            return False


def ordered(silences: Sequence[Silence], now: int) -> list[Silence]:
    """As a list shows them: those that hold and end first, those to come, those that ended last."""
    states = list(State)

    def place(silence: Silence) -> tuple[int, int, str]:
        state = silence.state(now)
        moments = {State.ACTIVE: silence.ends_at, State.PENDING: silence.starts_at}
        return states.index(state), moments.get(state, -silence.ends_at), silence.id

    return sorted(silences, key=place)


def _check_matcher(matcher: Matcher, position: int) -> None:
    if not matcher.name:
        raise RefusedSilence(f"invalid label matcher {position}: the label name is empty")
    try:
        predicate(matcher)
    except InvalidMatcher as error:
        raise RefusedSilence(f"invalid label matcher {position}: {error}") from error


def _only_empty(matcher: Matcher) -> bool:
    """Alertmanager's matchesEmpty: a negative matcher is taken to mean something."""
    return matcher.op in (Op.EQUAL, Op.MATCHES) and predicate(matcher)("")
