"""One alert of an incident, why it belongs there, and what people were told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from incidents.entities import links_of, node_of, subject_of
from incidents.roles import Sense, sense_of
from model.alert import Alert, Tier, tier_of
from model.labels import Labels, format_fingerprint
from model.topology import Entity


class Record(Struct, frozen=True, gc=False):
    """A member as JSON: encoded as it is, for a storm writes 50,000."""

    fingerprint: str
    labels: dict[str, str]
    annotations: Mapping[str, str]
    entities: tuple[Entity, ...]
    starts_at: int
    ends_at: int | None
    joined_at: int
    why: str
    generator_url: str
    explained: bool
    explained_by: str | None
    told: bool
    gathered: bool
    held: str
    voice: str


@lru_cache(maxsize=16_384)
def _in_order(entities: frozenset[Entity]) -> tuple[Entity, ...]:
    return tuple(sorted(entities))


@dataclass(slots=True, eq=False)
class Member:
    """One alert of an incident. Times are ms; `ends_at` None while it fires.

    It shares labels and annotations with its alert. `cause` is the fingerprint of the alert that explains
    it, 0 for one that nothing explains. `voice` is the id under which people are told of it: the incident's
    own, but for what was told before its incident became part of another. `gathered` marks one of many that
    began at once on one carrier. `subject` is what it is about, `sense` what its name says that it is.
    """

    labels: Labels
    annotations: Mapping[str, str]
    entities: frozenset[Entity]
    starts_at: int
    ends_at: int | None
    joined_at: int
    why: str
    generator_url: str = ""
    incident: str = ""
    voice: str = ""
    cause: int = 0
    told: bool = False
    gathered: bool = False
    held: str = ""
    heard: int = 0
    fingerprint: int = field(init=False)
    tier: Tier = field(init=False)
    name: str = field(init=False)
    subject: Entity | None = field(init=False)
    sense: Sense = field(init=False)

    def __post_init__(self) -> None:
        self.fingerprint = self.labels.fingerprint
        self.tier = tier_of(self.labels)
        self.name = self.labels.value("alertname")
        self.subject = subject_of(self.entities)
        self.sense = sense_of(self.name)

    @property
    def firing(self) -> bool:
        """Whether it has not ended."""
        return self.ends_at is None

    def active(self, since: int) -> bool:
        """Whether it fires, or has ended after `since` (ms) only."""
        return self.ends_at is None or self.ends_at > since

    @property
    def explained(self) -> bool:
        """Whether another alert is its cause."""
        return self.cause != 0

    @property
    def links(self) -> frozenset[Entity]:
        """The places that it speaks of."""
        return links_of(self.entities)

    @property
    def title(self) -> str:
        """Name and place, as sentences use them: `GpuLost on GPU 4 of gpu-node-1`."""
        return f"{self.name} on {self.place}" if self.place else self.name

    @property
    def place(self) -> str:
        """The subject in a person's words: nobody knows a GPU by its UUID."""
        subject = self.subject
        if subject is None:
            return ""
        index, node = self.labels.value("gpu"), node_of(self.labels)
        if subject.kind == "gpu" and index and node is not None:
            return f"GPU {index} of {node.name}"
        return str(subject)

    def record(self) -> Record:
        """As the store keeps it, moments in ms."""
        return Record(
            format_fingerprint(self.fingerprint),
            dict(self.labels.pairs),
            self.annotations,
            _in_order(self.entities),
            self.starts_at,
            self.ends_at,
            self.joined_at,
            self.why,
            self.generator_url,
            self.cause != 0,
            format_fingerprint(self.cause) if self.cause else None,
            self.told,
            self.gathered,
            self.held,
            self.voice,
        )

    def document(self) -> dict[str, Any]:
        """As JSON, moments in ms."""
        record = self.record()
        entities = [[entity.kind, entity.name] for entity in record.entities]
        return {**asdict(record), "annotations": dict(record.annotations), "entities": entities}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Member:
        """The reverse of `document`; also of one that version 1 wrote."""
        return cls(
            labels=Labels(document["labels"]),
            annotations=document["annotations"],
            entities=frozenset(Entity(kind, name) for kind, name in document["entities"]),
            starts_at=document["starts_at"],
            ends_at=document["ends_at"],
            joined_at=document["joined_at"],
            why=document["why"],
            generator_url=document["generator_url"],
            voice=document.get("voice", ""),
            cause=int(document.get("explained_by") or "0", 16),
            told=document.get("told", True),
            gathered=document.get("gathered", False),
            held=document.get("held", ""),
        )


def member_of(alert: Alert, entities: frozenset[Entity], now: int) -> Member:
    """An alert as it comes in at `now`, before it has found its incident."""
    return Member(
        alert.labels,
        alert.annotations,
        entities,
        alert.starts_at,
        None,
        now,
        "",
        alert.generator_url,
        heard=now,
    )
