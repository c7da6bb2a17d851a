"""How far the notification of people has come for one incident, and what of it is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Column, MetaData, String, Table

from model.alert import Tier
from store.columns import Json
from store.database import Schema
from store.kept import Kept

_METADATA = MetaData()
_COURSES = Table(
    "people_courses",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("body", Json, nullable=False),
)
_NOTICES = Table(
    "people_notices",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("body", Json, nullable=False),
)
_STATE = Table(
    "people_state",
    _METADATA,
    Column("key", String(32), primary_key=True),
    Column("value", Json, nullable=False),
)
SCHEMA = Schema("people", 1, _METADATA)


@dataclass
class Course:
    """One incident's way through the policies. Moments in ms.

    `tier`, `reach` and `root` (its likely cause) are what was last taken for its size, `level` the tier
    whose policy runs, `pass_` the number of the pass (it only grows: with `step`, the next step, it names
    each notification), `repeats` the passes of this level, `next_at` when the next step is due (None: no
    further one). `heard` are the receivers that have heard of the incident, `kinds` the kinds of its alerts.
    `paged` are the receivers of pages, by the incident that those named (this one, or one that became part
    of it): they hear of the end. `grave_at` is when it became a P0, from which `statuses` are counted.
    """

    incident: str
    started_at: int
    tier: Tier
    level: Tier
    reach: dict[str, int]
    root: str = ""
    pass_: int = 0
    step: int = 0
    repeats: int = 0
    next_at: int | None = 0
    notified_at: int = 0
    notified: str = ""
    heard: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    acknowledged: bool = False
    core: bool = False
    overdue: bool = False
    quiet: bool = False
    statuses: int = 0
    status_at: int = 0
    grave_at: int = 0
    paged: dict[str, list[str]] = field(default_factory=dict)

    def reached(self, receiver: str) -> None:
        """A page goes to this receiver."""
        receivers = self.paged.setdefault(self.incident, [])
        if receiver not in receivers:
            receivers.append(receiver)

    def absorb(self, other: Course) -> None:
        """The incident of the other one has become part of this one's."""
        self.root = ""
        self.heard += [receiver for receiver in other.heard if receiver not in self.heard]
        self.kinds += [kind for kind in other.kinds if kind not in self.kinds]
        for incident, receivers in other.paged.items():
            known = self.paged.setdefault(incident, [])
            known += [receiver for receiver in receivers if receiver not in known]

    def set_back(self, by: int) -> None:
        """The clock went back by so many ms: nothing may wait for a moment that was near before."""
        self.started_at -= by
        self.status_at -= by
        self.notified_at = self.notified_at and self.notified_at - by
        self.grave_at = self.grave_at and self.grave_at - by
        self.next_at = self.next_at and self.next_at - by

    @property
    def latest(self) -> int:
        """The latest moment that has been."""
        return max(self.started_at, self.notified_at, self.status_at)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Course:
        """The reverse of `document`."""
        values = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        return cls(**{**values, "tier": Tier(values["tier"]), "level": Tier(values["level"])})


def kept_courses() -> Kept[str, Course]:
    """The courses of open incidents, by incident."""
    return Kept(
        _COURSES,
        key_row=lambda incident: {"incident": incident},
        value_row=lambda course: {"body": course.document()},
        read=lambda row: (row.incident, Course.of_document(row.body)),
    )


def kept_notices() -> Kept[str, dict[str, Any]]:
    """The P3 incidents of the running period, by id: what the digest says of each."""
    return Kept(
        _NOTICES,
        key_row=lambda incident: {"incident": incident},
        value_row=lambda body: {"body": body},
        read=lambda row: (row.incident, row.body),
    )


def kept_state() -> Kept[str, Any]:
    """Single values of this room, by name."""
    return Kept(
        _STATE,
        key_row=lambda key: {"key": key},
        value_row=lambda value: {"value": value},
        read=lambda row: (row.key, row.value),
    )
