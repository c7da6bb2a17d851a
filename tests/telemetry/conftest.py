"""Builders for what comes in: remote-write requests spelled by hand, frames, and reads of the window."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

import cramjam
import pytest

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from telemetry.presence import SKEW
from telemetry.window import Window


class Protobuf:
    """As much of an encoder as a WriteRequest needs; knows nothing of the decoder under test."""

    @staticmethod
    def varint(number: int) -> bytes:
        number &= 0xFFFFFFFFFFFFFFFF
        out = bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
        return bytes(out)

    @classmethod
    def message(cls, number: int, payload: bytes) -> bytes:
        return cls.varint(number << 3 | 2) + cls.varint(len(payload)) + payload

    @classmethod
    def label(cls, name: str | bytes, value: str | bytes) -> bytes:
        raw = [text.encode() if isinstance(text, str) else text for text in (name, value)]
        return cls.message(1, b"".join(cls.message(place, text) for place, text in enumerate(raw, 1) if text))

    @classmethod
    def labels(cls, labels: Mapping[str, str]) -> bytes:
        return b"".join(cls.label(name, value) for name, value in sorted(labels.items()))

    @classmethod
    def sample(cls, value: float | bytes, time: int) -> bytes:
        """As gogo-protobuf writes it: what is zero is left out."""
        raw = value if isinstance(value, bytes) else struct.pack("<d", value)
        payload = b"" if raw == bytes(8) else b"\x09" + raw
        return cls.message(2, payload + (b"\x10" + cls.varint(time) if time else b""))

    @classmethod
    def series(cls, labels: Mapping[str, str], *samples: tuple[float, int]) -> bytes:
        return cls.message(1, cls.labels(labels) + b"".join(cls.sample(*one) for one in samples))

    @classmethod
    def metadata(cls, family: str, kind: int, text: str = "") -> bytes:
        return cls.message(
            3, b"\x08" + cls.varint(kind) + cls.message(2, family.encode()) + cls.message(4, text.encode())
        )

    @staticmethod
    def snappy(data: bytes) -> bytes:
        return bytes(cramjam.snappy.compress_raw(data))


@pytest.fixture(scope="session")
def protobuf() -> type[Protobuf]:
    return Protobuf


Samples = dict[Labels, list[tuple[int, float]]]


@pytest.fixture
def read() -> Callable[..., Samples]:
    """Every present sample of the window in time order, by series; stale markers are left out."""

    def samples(window: Window, names: Sequence[str] | None = None) -> Samples:

        found: Samples = {}
        for name in names if names is not None else window.metric_names():
            for selection in window.select([Matcher(NAME, Op.EQUAL, name)]):
                times, values, present = selection.range(-(2**60), 2**60)
                for column, labels in enumerate(selection.labels):
                    rows = present[:, column].nonzero()[0]
                    found[labels] = [(int(times[row, column]), float(values[row, column])) for row in rows]
        return found

    return samples


@pytest.fixture
def instant() -> Callable[..., dict[Labels, float]]:
    """What an instant query at a time sees (lookback 5 min), by series; clock skews only if asked for."""

    def values(window: Window, at: int, name: str | None = None) -> dict[Labels, float]:

        found: dict[Labels, float] = {}
        names = (metric for metric in window.metric_names() if metric != SKEW)
        for metric in [name] if name is not None else names:
            for selection in window.select([Matcher(NAME, Op.EQUAL, metric)]):
                numbers, _, present = selection.instant(at, 300_000)
                found.update(
                    (labels, float(numbers[place]))
                    for place, labels in enumerate(selection.labels)
                    if present[place]
                )
        return found

    return values
