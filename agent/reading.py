"""What one source (the host, an engine) said at one moment, and how that becomes a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from model.labels import NAME, Labels
from model.metric import Sample
from wire.frames import NO_SCHEMA, Frame, Kind, Schema, encode, pack_values, schema_frame
from wire.target_labels import with_target_labels

_TIDY_EVERY = 200  # frames
_TIDY_BELOW = 0.9  # share of the columns that are still in use


@dataclass(frozen=True, slots=True)
class Reading:
    """Series and their values, aligned. A source hands out the same `series` object while nothing changed.

    `exported` are the same series as /metrics spells them, where that differs from what is pushed.
    """

    at: int
    series: Sequence[Labels]
    values: Sequence[float]
    types: Mapping[str, str] = field(default_factory=dict)
    exported: Sequence[Labels] | None = None


class Naming:
    """Gives samples their full label sets: the metric name, and the target's labels when they are pushed."""

    def __init__(self, target_labels: Mapping[str, str]) -> None:
        self._target_labels = dict(target_labels)
        self._known: dict[tuple[str, Mapping[str, str]], tuple[Labels, Labels]] = {}
        self._pushed: list[Labels] = []
        self._exported: list[Labels] = []

    def reading(self, samples: Sequence[Sample], types: Mapping[str, str], at: int) -> Reading:
        """The samples as a reading. Their labels must be hashable (`Labels`)."""
        known = self._known
        if len(known) > 4 * len(samples) + 1000:
            known.clear()
        names = []
        for sample in samples:
            key = (sample.name, sample.labels)
            found = known.get(key)
            names.append(found or known.setdefault(key, self._spell(sample)))
        pushed = [both[0] for both in names]
        if pushed != self._pushed:
            self._pushed, self._exported = pushed, [both[1] for both in names]
        return Reading(at, self._pushed, [sample.value for sample in samples], types, self._exported)

    def _spell(self, sample: Sample) -> tuple[Labels, Labels]:
        plain = Labels({**sample.labels, NAME: sample.name})
        return with_target_labels(plain, self._target_labels), plain


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An encoded frame, and the encoded schema without which the analyzer cannot read it."""

    key: bytes
    schema: bytes
    data: bytes


class Stream:
    """Turns the readings of one interval into frames.

    Columns are added as series appear; now and then those that nobody uses any more are dropped.
    """

    def __init__(self, node: str, interval: int, boot_id: bytes) -> None:
        self.node = node
        self.interval = interval
        self.boot_id = boot_id
        self._columns: dict[Labels, int] = {}
        self._types: dict[str, str] = {}
        self._schema: Schema | None = None
        self._encoded_schema = b""
        self._placed: dict[int, tuple[Sequence[Labels], list[int]]] = {}
        self._frames = 0

    def frame(self, readings: Mapping[int, Reading], at: int, sequence: int) -> Outgoing:
        """One frame of these readings, each under a number that stays with its source.

        A column that no reading has is absent.
        """
        self._frames += 1
        if self._frames % _TIDY_EVERY == 0:
            self._tidy(readings.values())
        placed = [(self._places(source, reading), reading) for source, reading in readings.items()]
        values: list[float | None] = [None] * len(self._columns)
        for columns, reading in placed:
            for column, value in zip(columns, reading.values, strict=True):
                values[column] = value
        schema = self._current_schema(at)
        frame = Frame(
            Kind.VALUES, self.boot_id, sequence, at, self.interval, schema.schema_hash, pack_values(values)
        )
        return Outgoing(schema.schema_hash, self._encoded_schema, encode(frame))

    @property
    def announcement(self) -> tuple[bytes, bytes]:
        """Hash and encoded frame of the newest schema; no hash and nothing before the first frame."""
        if self._schema is None:
            return NO_SCHEMA, b""
        return self._schema.schema_hash, self._encoded_schema

    def _places(self, source: int, reading: Reading) -> list[int]:
        known = self._placed.get(source)
        if known is not None and known[0] is reading.series:
            return known[1]
        columns = []
        for labels in reading.series:
            column = self._columns.get(labels)
            if column is None:
                column = self._columns[labels] = len(self._columns)
                self._types[labels.name] = reading.types.get(labels.name, "unknown")
                self._schema = None
            columns.append(column)
        self._placed[source] = (reading.series, columns)
        return columns

    def _current_schema(self, at: int) -> Schema:
        if self._schema is None:
            self._schema = Schema(self.node, tuple(self._columns), dict(self._types))
            self._encoded_schema = encode(schema_frame(self._schema, self.boot_id, 0, at, self.interval))
        return self._schema

    def _tidy(self, readings: Iterable[Reading]) -> None:
        used = {labels for reading in readings for labels in reading.series}
        if len(used) < _TIDY_BELOW * len(self._columns):
            self._columns.clear()
            self._types.clear()
            self._placed.clear()
            self._schema = None
