"""What makes an incident need more people than it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from alertmanager.matching import LabelMatch
from incidents.incident import Incident
from incidents.people.course import Course
from model.alert import Tier
from model.labels import format_fingerprint
from model.moment import MINUTE, format_duration

SETTLE = MINUTE
"""A fault's alerts arrive over its first minute: until then a wider reach is no growth."""


class Reason(NamedTuple):
    """Why more people are notified: a word for the metric, a sentence, and whether it voids an answer."""

    name: str
    sentence: str
    news: bool = True


class Growth:
    """Judges incidents against what was last taken for their size. Times in ms."""

    def __init__(self, core: list[LabelMatch], grown_by: float, p2_limit: int) -> None:
        self._core = core
        self._grown_by = grown_by
        self._p2_limit = p2_limit

    def reasons(self, course: Course, incident: Incident, now: int) -> Iterator[Reason]:
        """Everything that is new, the gravest first; `taken` must follow."""
        if incident.tier < course.tier:
            yield Reason("tier", f"tier {course.tier.name} became {incident.tier.name}")
        core = self.core_hit(incident)
        if core and not course.core:
            yield Reason("core", f"a core service is hit: {core}")
        wider = grown(course.reach, incident.reach, self._grown_by)
        if wider and not self.expected(course, incident, now):
            yield Reason("grew", wider)
        if self._overdue(course, incident, now) and not course.overdue:
            yield Reason("overdue", f"open for {format_duration(self._p2_limit)}", news=False)

    def expected(self, course: Course, incident: Incident, now: int) -> bool:
        """Whether a wider reach is no news: first alerts arrive, or a late cause explains what was told."""
        return now - course.started_at < SETTLE or course.root != root_of(incident)

    def taken(self, course: Course, incident: Incident, now: int) -> None:
        """From now on this is its size."""
        course.tier = incident.tier
        course.core = course.core or bool(self.core_hit(incident))
        course.reach = dict(incident.reach)
        course.root = root_of(incident)
        course.overdue = course.overdue or self._overdue(course, incident, now)

    def core_hit(self, incident: Incident) -> str:
        """The title of an alert that fires on a core service; a P3 wakes nobody for that."""
        if not self._core or incident.tier is Tier.P3:
            return ""
        hits = (one for one in incident.firing if any(match(one.labels) for match in self._core))
        return next((member.title for member in hits), "")

    def _overdue(self, course: Course, incident: Incident, now: int) -> bool:
        return incident.tier is Tier.P2 and now - course.started_at >= self._p2_limit


def root_of(incident: Incident) -> str:
    """Which alert most likely is the cause."""
    return format_fingerprint(incident.root.labels.fingerprint) if incident.members else ""


def level_of(course: Course) -> Tier:
    """The tier whose policy runs: one more urgent for a core service, P1 for a P2 that lasts."""
    level = urgency_of(course)
    return min(level, Tier.P1) if course.overdue else level


def urgency_of(course: Course) -> Tier:
    """The same, however long it lasts: P2 and P3 wait for the end of quiet hours."""
    return Tier(max(course.tier - 1, 0)) if course.core else course.tier


def grown(before: Mapping[str, int], after: Mapping[str, int], by: float) -> str:
    """A sentence on the kind of things that it reaches so much more of; empty if there is none.

    >>> grown({"gpu": 8}, {"gpu": 9}, 0.5), grown({"gpu": 8}, {"gpu": 16}, 0.5)
    ('', 'it reaches 16 GPUs, 8 before')
    """
    for kind, count in after.items():
        known = before.get(kind, 0)
        if count > known and count >= known * (1 + by):
            return f"it reaches {counted(count, kind)}, {known} before"
    return ""


def counted(count: int, kind: str) -> str:
    """`8 GPUs`, `1 node`."""
    word = "GPU" if kind == "gpu" else kind
    return f"{count} {word}{'' if count == 1 else 's'}"


def reach_text(reach: Mapping[str, int]) -> str:
    """What an incident reaches: `1 node, 8 GPUs`."""
    return ", ".join(counted(count, kind) for kind, count in reach.items()) or "nothing that is known"
