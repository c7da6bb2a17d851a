"""The window on disk, so that a restart does not begin blind.

`freeze` copies what there is at one moment, on the thread that writes the window: some memory copies. `write`
puts it on disk in its own time on another thread: temporary file, fsync, rename. `read` and `thaw` give the
window back, or raise SnapshotError if the file is cut, damaged or of another version: a snapshot is a
convenience, its loss costs history and nothing else.

The file: magic, version, length and CRC-32 of a JSON header, the header, the sections that it names, each
with its CRC-32. Other rooms may add arrays to a frozen window (the detectors' state): one file, one moment.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.labels import Labels
from model.moment import MINUTE
from telemetry.cadence import Cadence
from telemetry.settings import WindowLimits
from telemetry.storage import NOBODY, SeriesTable, Slab, Storage
from telemetry.window import Window

_MAGIC = b"FLEETOWL WINDOW\n"
_VERSION = 1
_LEAD = struct.Struct("<16sIII")  # magic, version, length of the header, CRC-32 of the header
_LABELS = "labels"
_CHUNK = 1000  # series a line: other threads get their turn between two lines
_CADENCE_ARRAYS = ("times", "count", "newest", "newest_slot", "dirty")

Arrays = dict[str, NDArray[Any]]


class SnapshotError(Exception):
    """The file cannot be used, and why."""


@dataclass
class Frozen:
    """A consistent copy of a window: nothing in it changes any more."""

    taken_at: int
    document: dict[str, Any]
    arrays: Arrays
    labels: list[Labels] = field(default_factory=list)

    def add(self, room: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put the state of another room beside the window."""
        self.arrays.update({f"{room}/{name}": array for name, array in arrays.items()})

    def of(self, room: str) -> Arrays:
        """The state that `add` put there; empty if there is none."""
        prefix = f"{room}/"
        return {k.removeprefix(prefix): array for k, array in self.arrays.items() if k.startswith(prefix)}


def freeze(window: Window, now: int) -> Frozen:
    """A copy of the window as it is at `now` (ms)."""
    storage, registry = window.storage, window.registry
    arrays: Arrays = {"arena": storage.arena.values.copy()}
    for name in SeriesTable.ARRAYS:
        arrays[f"series_{name}"] = getattr(storage.series, name)[: window.size].copy()
    for index, cadence in enumerate(storage.cadences):
        for name in _CADENCE_ARRAYS:
            arrays[f"cadence_{index}_{name}"] = getattr(cadence, name).copy()
    document = {
        "latest": window.horizon.latest,
        "numbering": window.numbering,
        "free": list(storage.arena.free),
        "cadences": [[c.interval, c.slots, c.own, list(c.free)] for c in storage.cadences],
        "slabs": [[s.name, s.cadence, s.start, s.capacity, s.used] for s in storage.slabs],
        "targets": [t and [t.key, t.interval, t.cadence, t.column] for t in registry.targets],
        "types": dict(registry.types),
    }
    return Frozen(now, document, arrays, list(registry.labels))


def thaw(frozen: Frozen, retention: int = 15 * MINUTE, limits: WindowLimits | None = None) -> Window:
    """The window that was frozen. Raises SnapshotError if the parts do not fit together."""
    window = Window(retention, limits)
    try:
        _restore_storage(window.storage, frozen)
        window.registry.restore(frozen.labels, frozen.document["targets"], frozen.document["types"])
        window.horizon.latest = frozen.document["latest"]
        window.numbering = frozen.document["numbering"]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise SnapshotError(f"its parts do not fit together: {error!r}") from error
    return window


def write(frozen: Frozen, path: Path) -> None:
    """Put it on disk, whole or not at all. Raises OSError; then the file that was there is untouched."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for piece in _encode(frozen):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> Frozen:
    """What `write` wrote. Raises SnapshotError."""
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise SnapshotError(f"it cannot be read: {error.strerror or error}") from error
    header, place = _read_header(data)
    blobs: dict[str, memoryview] = {}
    for name, size, checksum, *_ in header["sections"]:
        blob, place = data[place : place + size], place + size
        if len(blob) < size or zlib.crc32(blob) != checksum:
            raise SnapshotError(f"its section {name} is cut or damaged")
        blobs[name] = blob
    arrays = {
        name: np.frombuffer(blobs[name], dtype).reshape(shape).copy()
        for name, _, _, dtype, shape in header["sections"]
        if name != _LABELS
    }
    return Frozen(header["taken_at"], header["document"], arrays, _decode_labels(bytes(blobs[_LABELS])))


def _encode(frozen: Frozen) -> Iterator[bytes | memoryview]:
    blobs = [(name, _bytes_of(a), a.dtype.str, a.shape) for name, a in frozen.arrays.items()]
    blobs.append((_LABELS, memoryview(_encode_labels(frozen.labels)), "", ()))
    header = {
        "taken_at": frozen.taken_at,
        "document": frozen.document,
        "sections": [(name, len(blob), zlib.crc32(blob), dtype, shape) for name, blob, dtype, shape in blobs],
    }
    text = json.dumps(header).encode()
    yield _LEAD.pack(_MAGIC, _VERSION, len(text), zlib.crc32(text))
    yield text
    for _, blob, _, _ in blobs:
        yield blob


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _read_header(data: memoryview) -> tuple[dict[str, Any], int]:
    """The header and where the sections begin."""
    if len(data) < _LEAD.size:
        raise SnapshotError("it is cut")
    magic, version, size, checksum = _LEAD.unpack_from(data)
    if magic != _MAGIC:
        raise SnapshotError("it is no snapshot of a window")
    if version != _VERSION:
        raise SnapshotError(f"it has version {version}, this is version {_VERSION}")
    text = data[_LEAD.size : _LEAD.size + size]
    if len(text) < size or zlib.crc32(text) != checksum:
        raise SnapshotError("its header is cut or damaged")
    header: dict[str, Any] = json.loads(bytes(text))
    return header, _LEAD.size + size


def _encode_labels(labels: list[Labels]) -> bytes:
    starts = range(0, len(labels), _CHUNK)
    return b"\n".join(
        json.dumps([these.pairs for these in labels[start : start + _CHUNK]]).encode() for start in starts
    )


def _decode_labels(blob: bytes) -> list[Labels]:
    # A pair comes back as a list: Labels needs tuples, for they are hashed.
    return [
        Labels([(name, value) for name, value in pairs])
        for line in blob.splitlines()
        for pairs in json.loads(line)
    ]


def _restore_storage(storage: Storage, frozen: Frozen) -> None:
    document, arrays = frozen.document, frozen.arrays
    storage.arena.values = arrays["arena"]
    storage.arena.free = [(start, size) for start, size in document["free"]]
    for name in SeriesTable.ARRAYS:
        setattr(storage.series, name, arrays[f"series_{name}"])
    storage.series.size = len(frozen.labels)
    for index, (interval, slots, own, free) in enumerate(document["cadences"]):
        cadence = Cadence(interval, slots, own, storage.budget)
        cadence.free = list(free)
        for name in _CADENCE_ARRAYS:
            setattr(cadence, name, arrays[f"cadence_{index}_{name}"])
        storage.cadences.append(cadence)
    for name, home, start, capacity, used in document["slabs"]:
        slab = Slab(name, home, storage.cadences[home].slots)
        slab.start, slab.capacity, slab.used = start, capacity, used
        slab.ids = np.full(capacity, NOBODY, np.int64)
        storage.slabs.append(slab)
    living = np.flatnonzero(storage.series.owner != NOBODY)
    order = living[np.argsort(storage.series.slab[living], kind="stable")]
    cuts = np.flatnonzero(np.diff(storage.series.slab[order])) + 1
    for part in np.split(order, cuts) if len(order) else []:
        storage.slabs[storage.series.slab[part[0]]].ids[storage.series.column[part]] = part
    storage.restored()
