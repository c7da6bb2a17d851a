"""Frames: what goes in comes out, and nothing damaged does."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import NAME, Labels
from wire.event import EventRecord, pack_event, unpack_event
from wire.frames import (
    NO_SCHEMA,
    Frame,
    FrameLimits,
    Kind,
    MalformedFrame,
    Schema,
    decode_stream,
    encode,
    pack_values,
    schema_frame,
    unpack_schema,
    unpack_values,
)

BOOT = bytes(range(16))
SCHEMA = Schema(
    "node-1",
    (Labels({NAME: "up", "node": "node-1"}), Labels({NAME: "x", "a": 'ü "\n'})),
    {"up": "gauge", "x": "counter"},
)


def values_frame(values: list[float | None], sequence: int = 1) -> Frame:
    return Frame(
        Kind.VALUES, BOOT, sequence, 1_700_000_000_000, 1000, SCHEMA.schema_hash, pack_values(values)
    )


def test_a_stream_of_all_kinds() -> None:
    event = EventRecord("xid", {"node": "node-1"}, 79.0, 5, node="node-1")
    frames = [
        schema_frame(SCHEMA, BOOT, 0, 5, 1000),
        values_frame([1.5, None]),
        Frame(Kind.EVENT, BOOT, 2, 6, 1000, SCHEMA.schema_hash, pack_event(event)),
        Frame(Kind.BYE, BOOT, 3, 7, 1000),
    ]
    decoded = decode_stream(b"".join(map(encode, frames)))
    assert decoded == frames
    assert unpack_schema(decoded[0].payload) == SCHEMA
    assert unpack_schema(decoded[0].payload).schema_hash == decoded[1].schema_hash
    assert unpack_values(decoded[1].payload, 2) == [1.5, None]
    assert unpack_event(decoded[2].payload) == event
    assert decoded[3].schema_hash == NO_SCHEMA
    assert decode_stream(b"") == []


def test_compression_is_transparent() -> None:
    frame = values_frame([0.0] * 2)
    assert decode_stream(encode(frame, compress=True) + encode(frame)) == [frame, frame]
    large = schema_frame(
        Schema("n", tuple(Labels({NAME: "x", "i": str(i)}) for i in range(500))), BOOT, 0, 1, 1
    )
    assert len(encode(large)) < len(encode(large, compress=False)) / 4


@given(st.lists(st.none() | st.floats(), max_size=40))
def test_values_come_back_bit_by_bit(values: list[float | None]) -> None:
    found = unpack_values(pack_values(values), len(values))
    assert [None if v is None else struct.pack("<d", v) for v in found] == [
        None if v is None else struct.pack("<d", v) for v in values
    ]


def slowly_packed(values: list[float | None]) -> bytes:
    """The payload as the module's docstring has it, column by column."""
    bitmap = bytearray((len(values) + 7) // 8)
    for column, value in enumerate(values):
        if value is not None:
            bitmap[column >> 3] |= 1 << (column & 7)
    numbers = [0.0 if value is None else value for value in values]
    return struct.pack("<I", len(values)) + bytes(bitmap) + struct.pack(f"<{len(values)}d", *numbers)


@given(st.lists(st.floats(), max_size=70) | st.lists(st.none() | st.floats(), max_size=70))
def test_values_are_packed_bit_by_bit(values: list[float | None]) -> None:
    assert pack_values(values) == slowly_packed(values)


def test_the_stale_marker_survives() -> None:
    (stale,) = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))
    (found,) = unpack_values(pack_values([stale]), 1)
    assert found is not None
    assert struct.pack("<d", found) == struct.pack("<Q", 0x7FF0000000000002)


def test_schemas_differ_in_their_hash() -> None:
    others = [
        Schema("node-2", SCHEMA.series, SCHEMA.types),
        Schema("node-1", SCHEMA.series[::-1], SCHEMA.types),
        Schema("node-1", SCHEMA.series, {**SCHEMA.types, "up": "counter"}),
    ]
    assert len({schema.schema_hash for schema in [SCHEMA, *others]}) == 4
    assert Schema("node-1", SCHEMA.series, {"x": "counter", "up": "gauge"}).schema_hash == SCHEMA.schema_hash


STREAM = encode(schema_frame(SCHEMA, BOOT, 0, 5, 1000)) + encode(values_frame([1.0, 2.0]))


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_a_cut_off_stream_is_malformed(cut: int) -> None:
    if cut == len(encode(schema_frame(SCHEMA, BOOT, 0, 5, 1000))):
        assert len(decode_stream(STREAM[:cut])) == 1  # a whole frame is whole
        return
    with pytest.raises(MalformedFrame):
        decode_stream(STREAM[:cut])


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_a_damaged_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(STREAM)
    damaged[position] ^= change
    with pytest.raises(MalformedFrame):
        decode_stream(bytes(damaged))


@given(st.binary(max_size=200))
def test_noise_is_malformed(noise: bytes) -> None:
    if noise:
        with pytest.raises(MalformedFrame):
            decode_stream(noise)


def test_another_version_says_so() -> None:
    body = bytearray(encode(values_frame([1.0])))
    body[8] = 9
    with pytest.raises(MalformedFrame, match="version 9"):
        decode_stream(bytes(body))


def test_limits() -> None:
    bomb = encode(Frame(Kind.SCHEMA, BOOT, 1, 1, 1, bytes(8), bytes(50_000_000)), compress=True)
    assert len(bomb) < 100_000
    with pytest.raises(MalformedFrame, match="inflates"):
        decode_stream(bomb)
    with pytest.raises(MalformedFrame, match="more than 3 frames"):
        decode_stream(encode(values_frame([1.0])) * 4, FrameLimits(frames=3))
    with pytest.raises(MalformedFrame, match="bytes"):
        decode_stream(encode(values_frame([1.0] * 100)), FrameLimits(frame_bytes=100))
    with pytest.raises(MalformedFrame, match="series"):
        unpack_schema(SCHEMA.packed, FrameLimits(series=1))
    with pytest.raises(MalformedFrame, match="too long"):
        unpack_schema(SCHEMA.packed, FrameLimits(label_length=7))
    with pytest.raises(MalformedFrame, match="labels"):
        unpack_schema(SCHEMA.packed, FrameLimits(labels=1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"5",
        b'{"node":"n"}',
        b'{"node":"","series":[],"types":{}}',
        b'{"node":5,"series":[],"types":{}}',
        b'{"node":"n","series":5,"types":{}}',
        b'{"node":"n","series":[["a"]],"types":{}}',
        b'{"node":"n","series":[[["a",5]]],"types":{}}',
        b'{"node":"n","series":[[["a","b"]]],"types":{}}',
        b'{"node":"n","series":[[["__name__","b"],["__name__","c"]]],"types":{}}',
        b'{"node":"n","series":[[["__name__","b","c"]]],"types":{}}',
        b'{"node":"n","series":[],"types":[]}',
        b'{"node":"n","series":[],"types":{"a":5}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_bad_schema_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        unpack_schema(payload)


@pytest.mark.parametrize(
    "payload", [b"", pack_values([1.0]), pack_values([1.0] * 9), pack_values([1.0, 2.0])[:-1]]
)
def test_values_that_do_not_fit_the_schema_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        unpack_values(payload, 2)


def test_a_schema_must_have_the_hash_that_it_claims() -> None:
    frame = schema_frame(SCHEMA, BOOT, 0, 5, 1000)
    forged = Frame(Kind.SCHEMA, BOOT, 0, 5, 1000, bytes(8), frame.payload)
    with pytest.raises(MalformedFrame, match="hash"):
        decode_stream(encode(forged))


def test_kinds_and_flags_of_the_future_are_malformed() -> None:
    for offset, value in ((9, 9), (10, 2)):
        body = bytearray(encode(values_frame([1.0])))
        body[offset] = value
        body[-4:] = struct.pack("<I", zlib.crc32(bytes(body[4:-4])))
        with pytest.raises(MalformedFrame, match="kind"):
            decode_stream(bytes(body))
