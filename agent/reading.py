"""What one source (the host, an engine) said at one moment, and how that becomes a frame."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from model.labels import NAME, Labels
from model.metric import Sample
from wire.frames import NO_SCHEMA, Frame, Kind, Schema, bitmap_of, encode, pack_columns, schema_frame
from wire.target_labels import with_target_labels

_TIDY_EVERY = 200  # frames
_TIDY_BELOW = 0.9  # share of the columns that are still in use
_MANY_COLUMNS = 20_000  # beyond four times those in use, it does not wait for that


@dataclass(frozen=True, slots=True)
class Reading:
    """Series and their values, aligned. A source hands out the same `series` object while nothing changed.

    Whoever has many values gives them as an array of doubles: a frame and the page are made of such, and
    thousands of numbers that lie about as objects cost more to visit than to copy.

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
        self._names: tuple[str, ...] = ()
        self._labels: tuple[Mapping[str, str], ...] = ()
        self._pushed: list[Labels] = []
        self._exported: list[Labels] = []

    def reading(self, samples: Sequence[Sample], types: Mapping[str, str], at: int) -> Reading:
        """The samples as a reading. Their labels must be hashable (`Labels`)."""
        names, labels, values = zip(*samples, strict=True) if samples else ((), (), ())
        # Mostly they are the very objects of the time before, which makes these comparisons cheap.
        if names != self._names or labels != self._labels:
            self._name(samples)
        self._names, self._labels = names, labels
        return Reading(at, self._pushed, values, types, self._exported)

    def _name(self, samples: Sequence[Sample]) -> None:
        known = self._known
        if len(known) > 4 * len(samples) + 1000:
            known.clear()
        both = []
        for sample in samples:
            key = (sample.name, sample.labels)
            found = known.get(key)
            both.append(found or known.setdefault(key, self._spell(sample)))
        self._pushed, self._exported = [one[0] for one in both], [one[1] for one in both]

    def _spell(self, sample: Sample) -> tuple[Labels, Labels]:
        plain = Labels({**sample.labels, NAME: sample.name})
        return with_target_labels(plain, self._target_labels), plain


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An encoded frame, the encoded schema without which the analyzer cannot read it, and its time (ms)."""

    key: bytes
    schema: bytes
    data: bytes
    at: int = 0


Places = range | list[int]
"""The columns of a source's series; mostly they stand side by side."""


def _as_range(columns: list[int]) -> Places:
    together = range(columns[0], columns[0] + len(columns)) if columns else range(0)
    return together if columns == list(together) else columns


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
        self._key: bytes | None = None
        self._encoded_schema = b""
        self._placed: dict[int, tuple[Sequence[Labels], Places]] = {}
        self._shown: tuple[list[Places], int] = ([], -1)
        self._bitmap = b""
        self._frames = 0

    def frame(self, readings: Mapping[int, Reading], at: int, sequence: int) -> Outgoing:
        """One frame of these readings, each under a number that stays with its source.

        A column that no reading has is absent.
        """
        self._frames += 1
        shown = sum(len(reading.series) for reading in readings.values())
        if self._frames % _TIDY_EVERY == 0 or len(self._columns) > 4 * shown + _MANY_COLUMNS:
            self._tidy(readings.values())
        placed = [(self._places(source, reading), reading.values) for source, reading in readings.items()]
        floats = array("d", bytes(8 * len(self._columns)))
        for places, values in placed:
            if len(places) != len(values):
                raise ValueError("not as many values as series")
            if isinstance(places, range):
                floats[places.start : places.stop] = (
                    values if isinstance(values, array) else array("d", values)
                )
            else:
                for column, value in zip(places, values, strict=True):
                    floats[column] = value
        payload = pack_columns(self._present([places for places, _ in placed]), floats)
        key = self._current_schema(at)
        frame = Frame(Kind.VALUES, self.boot_id, sequence, at, self.interval, key, payload)
        return Outgoing(key, self._encoded_schema, encode(frame), at)

    @property
    def announcement(self) -> tuple[bytes, bytes]:
        """Hash and encoded frame of the newest schema; no hash and nothing before the first frame."""
        return (NO_SCHEMA, b"") if self._key is None else (self._key, self._encoded_schema)

    def _places(self, source: int, reading: Reading) -> Places:
        known = self._placed.get(source)
        if known is not None and known[0] is reading.series:
            return known[1]
        columns = []
        for labels in reading.series:
            column = self._columns.get(labels)
            if column is None:
                column = self._columns[labels] = len(self._columns)
                self._types[labels.name] = reading.types.get(labels.name, "unknown")
                self._key = None
            columns.append(column)
        places = _as_range(columns)
        self._placed[source] = (reading.series, places)
        return places

    def _present(self, placed: list[Places]) -> bytes:
        """The bitmap of the columns that have a value; the one before while nothing has moved."""
        count = len(self._columns)
        if (placed, count) != self._shown:
            self._shown = (placed, count)
            self._bitmap = bitmap_of(chain.from_iterable(placed), count)
        return self._bitmap

    def _current_schema(self, at: int) -> bytes:
        """The hash; the schema itself is not kept, for it is large."""
        if self._key is None:
            schema = Schema(self.node, tuple(self._columns), dict(self._types))
            self._encoded_schema = encode(schema_frame(schema, self.boot_id, 0, at, self.interval))
            self._key = schema.schema_hash
        return self._key

    def _tidy(self, readings: Iterable[Reading]) -> None:
        used = {labels for reading in readings for labels in reading.series}
        if len(used) < _TIDY_BELOW * len(self._columns):
            self._columns.clear()
            self._types.clear()
            self._placed.clear()
            self._key = None
