"""As much of protobuf's wire format as remote write and the kubelet need: a walk over fields, bounds checked.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class MalformedMessage(ValueError):
    """The bytes are not a protobuf message."""


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at `position` and the position after it. Raises MalformedMessage."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            break
    raise MalformedMessage("a number that does not end")


def to_signed(value: int) -> int:
    """An int64 as protobuf writes it: two's complement."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field; a varint's start is where its number stands.

    Groups (long deprecated) and unknown wire types are malformed. Raises MalformedMessage.
    """
    while position < end:
        key = data[position]
        position += 1
        if key > 0x7F:  # most keys and lengths are one byte, which needs no call
            key, position = read_varint(data, position - 1, end)
        number, kind = key >> 3, key & 7
        start = position
        if kind == VARINT:
            _, position = read_varint(data, position, end)
        elif kind == FIXED64:
            position += 8
        elif kind == FIXED32:
            position += 4
        elif kind == BYTES:
            if position < end and data[position] < 0x80:
                length, start = data[position], position + 1
            else:
                length, start = read_varint(data, position, end)
            position = start + length
        else:
            raise MalformedMessage(f"wire type {kind}")
        if not number or position > end:
            raise MalformedMessage("a field beyond the end of its message")
        yield number, kind, start, position
