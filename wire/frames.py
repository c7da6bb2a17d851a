"""Frames: the agent's own wire format. The schema goes once, then a tick is a header and a vector of floats.

A stream (a POST body, a spool file) is frames one after the other, each with its length in front. All
integers are little endian:

    u32 length of what follows
    4s  magic "OWLF"      u8 version (1)    u8 kind      u16 flags (bit 0: payload is zlib-compressed)
    16s boot id           u64 sequence      i64 time, ms since the epoch     u32 interval, ms
    8s  schema hash       payload ...       u32 CRC-32 of everything after the length

Kinds: SCHEMA (labels and types of every column, JSON), VALUES (u32 count, validity bitmap, one float64 per
column), EVENT (JSON, see wire/event.py; it needs no schema), BYE (empty; the agent leaves on purpose). The
schema hash ties values to their columns; a receiver that does not know it answers 409 and the agent sends the
schema again. The sequence counts VALUES, EVENT and BYE within a boot; a schema may be sent at any time and is
never a duplicate. An event may overtake a frame with a lower sequence.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, cast

from model.labels import Labels

CONTENT_TYPE = "application/x-fleetowl-frames"
BOOT = "X-Fleetowl-Boot"
WINDOW_END = "X-Fleetowl-Window-End"
"""Headers of the answer: which process it is, and up to when (ms) it had a window when it began."""
VERSION = 1
NO_SCHEMA = bytes(8)
"""The hash in frames that refer to no schema."""
LATEST = 1 << 52
"""No moment (ms) is later; what is computed from it still fits in 64 bits."""

_MAGIC = b"OWLF"
_HEAD = struct.Struct("<4sBBH16sQqI8s")
_LENGTH = struct.Struct("<I")
_COMPRESSED = 1


class Kind(IntEnum):
    """What a frame holds."""

    SCHEMA = 1
    VALUES = 2
    EVENT = 3
    BYE = 4


class MalformedFrame(ValueError):
    """The bytes are not frames of this version, are damaged, or end too soon."""


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What a receiver takes; beyond it the stream is malformed."""

    frames: int = 10_000
    """Frames in one stream."""
    frame_bytes: int = 16 * 1024 * 1024
    """Bytes of one payload, inflated."""
    series: int = 200_000
    """Columns of a schema."""
    labels: int = 128
    """Labels of a series, the name included."""
    label_length: int = 16 * 1024
    """Characters of a label's name or value, and of the node's name."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `payload` is what pack_schema, pack_values or pack_event made; for BYE it is empty."""

    kind: Kind
    boot_id: bytes
    sequence: int
    time: int
    interval: int
    schema_hash: bytes = NO_SCHEMA
    payload: bytes = b""


@dataclass(frozen=True)
class Schema:
    """The columns of a node's VALUES frames."""

    node: str
    series: tuple[Labels, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def packed(self) -> bytes:
        """The canonical payload that the hash is taken of."""
        document = {
            "node": self.node,
            "series": [labels.pairs for labels in self.series],
            "types": dict(sorted(self.types.items())),
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def schema_hash(self) -> bytes:
        """Eight bytes (BLAKE2b) that name this schema."""
        return hash_of(self.packed)


def hash_of(packed: bytes) -> bytes:
    """The name of a packed schema."""
    return hashlib.blake2b(packed, digest_size=8).digest()


def schema_frame(schema: Schema, boot_id: bytes, sequence: int, time: int, interval: int) -> Frame:
    """The frame that makes a schema known."""
    return Frame(Kind.SCHEMA, boot_id, sequence, time, interval, schema.schema_hash, schema.packed)


def pack_values(values: Sequence[float | None]) -> bytes:
    """Payload of a VALUES frame; None is "absent this time"."""
    try:
        floats = array("d", cast(Sequence[float], values))
        present = bitmap_of(range(len(values)), len(values))
    except TypeError:
        floats = array("d", [0.0 if value is None else value for value in values])
        places = [place for place, value in enumerate(values) if value is not None]
        present = bitmap_of(places, len(values))
    return pack_columns(present, floats)


def pack_columns(bitmap: bytes, floats: array[float]) -> bytes:
    """Payload of a VALUES frame out of what `bitmap_of` gave and one double for each column."""
    if sys.byteorder == "big":
        floats = floats[:]
        floats.byteswap()
    return _LENGTH.pack(len(floats)) + bitmap + floats.tobytes()


def bitmap_of(present: Iterable[int], count: int) -> bytes:
    """Which of `count` columns are present: bit k of byte k // 8."""
    digits = bytearray(b"0") * count
    for column in present:
        digits[count - 1 - column] = 49  # the digit 1; the highest column comes first
    return int(digits or b"0", 2).to_bytes((count + 7) // 8, "little")


def split_values(payload: bytes, count: int) -> tuple[memoryview, memoryview]:
    """Validity bitmap (bit k of byte k // 8: column k is present) and float64s of a VALUES payload.

    Raises MalformedFrame if it does not hold `count` columns.
    """
    bitmap_bytes = (count + 7) // 8
    if len(payload) != _LENGTH.size + bitmap_bytes + 8 * count or _LENGTH.unpack_from(payload)[0] != count:
        raise MalformedFrame(f"values do not fit a schema of {count} series")
    view = memoryview(payload)
    middle = _LENGTH.size + bitmap_bytes
    return view[_LENGTH.size : middle], view[middle:]


def unpack_values(payload: bytes, count: int) -> list[float | None]:
    """The values aligned to a schema of `count` series. Raises MalformedFrame."""
    bitmap, floats = split_values(payload, count)
    numbers = struct.unpack(f"<{count}d", floats)
    return [value if bitmap[k >> 3] >> (k & 7) & 1 else None for k, value in enumerate(numbers)]


def unpack_schema(payload: bytes, limits: FrameLimits | None = None) -> Schema:
    """The schema. Raises MalformedFrame if it is none or exceeds the limits."""
    limits = limits or FrameLimits()
    document = loaded(payload)
    try:
        node, rows, types = document["node"], document["series"], document["types"]
        if not isinstance(node, str) or not node or len(node) > limits.label_length:
            raise MalformedFrame("the schema names no node")
        if len(rows) > limits.series:
            raise MalformedFrame(f"{len(rows)} series are more than {limits.series}")
        series = tuple(checked_labels(row, limits) for row in rows)
        if not all(isinstance(kind, str) and len(kind) <= 16 for kind in types.values()):
            raise MalformedFrame("a metric type is not a word")
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        if isinstance(error, MalformedFrame):
            raise
        raise MalformedFrame("a schema is a JSON object with node, series and types") from error
    return Schema(node, series, types)


def checked_labels(row: list[list[str]], limits: FrameLimits) -> Labels:
    """The label set of a series that was sent as pairs.

    Raises MalformedFrame for a bad label, TypeError or ValueError for a row that is no list of pairs.
    """
    if len(row) > limits.labels:
        raise MalformedFrame(f"a series with {len(row)} labels")
    for name, value in row:
        if not isinstance(name, str) or not isinstance(value, str):
            raise MalformedFrame("a label that is no text")
        if max(len(name), len(value)) > limits.label_length:
            raise MalformedFrame(f"label {name[:40]!r} is too long")
    labels = Labels([(name, value) for name, value in row])
    if not labels.name or len(dict(row)) != len(row):
        raise MalformedFrame(f"bad labels {labels!r}")
    return labels


def loaded(payload: bytes) -> Any:
    """The JSON document of a payload. Raises MalformedFrame."""
    try:
        document = json.loads(payload)
        json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate could be stored nowhere
        return document
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("a payload that is no JSON") from error


def encode(frame: Frame, compress: bool | None = None) -> bytes:
    """The frame as bytes with its length in front.

    Schemas are compressed, unless `compress` says otherwise; values are not (they cost more than they save).
    """
    payload, flags = frame.payload, 0
    if compress or (compress is None and frame.kind is Kind.SCHEMA):
        payload, flags = zlib.compress(payload, 6), _COMPRESSED
    head = _HEAD.pack(
        _MAGIC, VERSION, frame.kind, flags, frame.boot_id, frame.sequence, frame.time, frame.interval,
        frame.schema_hash,
    )  # fmt: skip
    checksum = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((
        _LENGTH.pack(len(head) + len(payload) + 4), head, payload, _LENGTH.pack(checksum)
    ))  # fmt: skip


def decode_stream(body: bytes, limits: FrameLimits | None = None) -> list[Frame]:
    """All frames of a stream. Raises MalformedFrame for damage, a cut-off end or a limit exceeded."""
    limits = limits or FrameLimits()
    frames: list[Frame] = []
    position = inflated = 0
    while position < len(body):
        if len(frames) == limits.frames:
            raise MalformedFrame(f"more than {limits.frames} frames at once")
        frame, position = _decode_one(body, position, limits)
        inflated += len(frame.payload)
        if inflated > len(body) + 2 * limits.frame_bytes:
            raise MalformedFrame(f"frames that inflate to more than {inflated} bytes")
        frames.append(frame)
    return frames


def _decode_one(body: bytes, position: int, limits: FrameLimits) -> tuple[Frame, int]:
    if position + _LENGTH.size > len(body):
        raise MalformedFrame("cut off within a length")
    (length,) = _LENGTH.unpack_from(body, position)
    start = position + _LENGTH.size
    if length < _HEAD.size + 4 or length > limits.frame_bytes + _HEAD.size + 4:
        raise MalformedFrame(f"a frame of {length} bytes")
    end = start + length
    if end > len(body):
        raise MalformedFrame(f"cut off: {len(body) - start} of {length} bytes")
    payload = body[start + _HEAD.size : end - 4]
    (checksum,) = _LENGTH.unpack_from(body, end - 4)
    magic, version, kind, flags, boot_id, sequence, time, interval, name = _HEAD.unpack_from(body, start)
    if magic != _MAGIC:
        raise MalformedFrame("not a frame")
    if version != VERSION:
        raise MalformedFrame(f"version {version}; this is version {VERSION}")
    if checksum != zlib.crc32(payload, zlib.crc32(body[start : start + _HEAD.size])):
        raise MalformedFrame("the checksum differs")
    if kind not in Kind.__members__.values() or flags & ~_COMPRESSED:
        raise MalformedFrame(f"kind {kind}, flags {flags}")
    if flags & _COMPRESSED:
        payload = _inflate(payload, limits.frame_bytes)
    frame = Frame(Kind(kind), boot_id, sequence, time, interval, name, payload)
    if frame.kind is Kind.SCHEMA and hash_of(payload) != frame.schema_hash:
        raise MalformedFrame("the schema does not have the hash that it claims")
    return frame, end


def _inflate(payload: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(payload, limit)
    except zlib.error as error:
        raise MalformedFrame("damaged compression") from error
    if not inflater.eof or inflater.unused_data:
        raise MalformedFrame(f"inflates to more than {limit} bytes, or is cut off")
    return inflated
