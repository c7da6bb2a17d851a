"""A remote-write 1.0 request (prometheus.WriteRequest), walked in plain Python.

A sender says the same label sets again and again, and mostly one sample each. So the bytes of a series
without its sample, which ends it, are a key: a known series costs a slice, a look-up and a few comparisons.
Everything else (several samples, other field order, unknown fields, histograms) is walked field by field.

Source of the format: prometheus/prometheus prompb/types.proto and remote.proto.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from model.labels import Labels
from wire.protobuf import BYTES, FIXED64, VARINT, MalformedMessage, fields, read_varint, to_signed

METADATA_TYPES = (
    "unknown", "counter", "gauge", "histogram", "histogram", "summary", "gauge", "gauge",
)  # fmt: skip
"""prompb.MetricMetadata.MetricType -> type of a series."""

_SERIES_TAG = 0x0A
_TAIL = struct.Struct("<3s8ss6s")  # a whole sample field: tag, length, tag; value; tag; time (1971 to 2109)
_TAIL_MARKS = (b"\x12\x10\x09", b"\x10")
_ZERO_TAIL = b"\x12\x07\x10"  # the same without the value, which is 0 then; the time follows
_ZERO = bytes(8)

Resolve = Callable[[bytes], "int | str"]
"""The id for a series' label bytes, or the reason why it is refused."""


@dataclass(slots=True)
class Walked:
    """The samples of a request, aligned, and what it holds besides."""

    ids: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    """Each a float64, little endian, so that no bit of a NaN is lost."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Metric family -> type."""
    refused: Counter[str] = field(default_factory=Counter)
    """Samples of series that are not taken, by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Native histograms and exemplars, which are not stored."""


def walk(data: bytes, known: dict[bytes, int], resolve: Resolve) -> Walked:
    """The samples of a request; `known` maps label bytes to ids. Raises MalformedMessage."""
    walked = Walked()
    ids, times, values, find = walked.ids, walked.times, walked.values, known.get
    moments: dict[bytes, int] = {}
    position, size = 0, len(data)
    while position < size:
        if data[position] != _SERIES_TAG:
            position = _other_field(data, position, walked)
            continue
        length, start = read_varint(data, position + 1, size)
        position = start + length
        if position > size:
            raise MalformedMessage("a series beyond the end of the request")
        tail = position - _TAIL.size
        # What stands before the tail is a key only if it was once found to be labels and nothing else,
        # so bytes that merely look like a sample do no harm.
        if tail > start:
            mark, value, time_mark, raw = _TAIL.unpack_from(data, tail)
            if (mark, time_mark) == _TAIL_MARKS:
                found = find(data[start:tail])
                moment = moments.get(raw) or _moment(raw, moments)
                if found is not None and moment:
                    ids.append(found)
                    times.append(moment)
                    values.append(value)
                    continue
        if not _zero(data, start, position, known, moments, walked):
            _series(data, start, position, known, resolve, walked)
    return walked


def _zero(
    data: bytes, start: int, end: int, known: dict[bytes, int], moments: dict[bytes, int], walked: Walked
) -> bool:
    """A known series whose one sample is 0, which is not spelled out; False if it is not that."""
    tail = end - 9
    if tail <= start or data[tail : tail + 3] != _ZERO_TAIL:
        return False
    found, raw = known.get(data[start:tail]), data[tail + 3 : end]
    moment = moments.get(raw) or _moment(raw, moments)
    if found is None or not moment:
        return False
    walked.ids.append(found)
    walked.times.append(moment)
    walked.values.append(_ZERO)
    return True


def _moment(raw: bytes, moments: dict[bytes, int]) -> int:
    """The time in six bytes, remembered; 0 if they are not one number."""
    if raw[-1] & 0x80 or not all(byte & 0x80 for byte in raw[:-1]):
        return 0
    moments[raw] = read_varint(raw, 0, len(raw))[0]
    return moments[raw]


def _series(
    data: bytes, start: int, end: int, known: dict[bytes, int], resolve: Resolve, walked: Walked
) -> None:
    """One series, field by field, in whatever order they come."""
    labels: list[bytes] = []
    samples: list[tuple[int, bytes]] = []
    label_end, position, in_order = start, start, True
    for number, kind, first, last in fields(data, start, end):
        if number == 1 and kind == BYTES:
            labels.append(data[first:last])
            in_order &= label_end == position
            label_end = last
        elif number == 2 and kind == BYTES:
            samples.append(_sample(data, first, last))
        elif number in (3, 4) and kind == BYTES:
            walked.skipped["exemplar" if number == 3 else "native_histogram"] += 1
        position = last
    if not samples:
        return
    key = data[start:label_end] if in_order else b"".join(_label_field(label) for label in labels)
    found = known[key] if key in known else resolve(key)
    if isinstance(found, str):
        walked.refused[found] += len(samples)
        return
    for moment, value in samples:
        walked.ids.append(found)
        walked.times.append(moment)
        walked.values.append(value)


def _sample(data: bytes, start: int, end: int) -> tuple[int, bytes]:
    moment, value = 0, _ZERO
    for number, kind, first, last in fields(data, start, end):
        if number == 1 and kind == FIXED64:
            value = data[first:last]
        elif number == 2 and kind == VARINT:
            moment = to_signed(read_varint(data, first, last)[0])
    return moment, value


def _label_field(label: bytes) -> bytes:
    """A label as the field of a series."""
    length, size = b"", len(label)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return b"\x0a" + length + bytes([size]) + label


def _other_field(data: bytes, position: int, walked: Walked) -> int:
    """A field of the request that is no series; returns the position after it."""
    number, kind, start, end = next(fields(data, position, len(data)))
    if number == 3 and kind == BYTES:
        family, metric_type = "", 0
        for inner, inner_kind, first, last in fields(data, start, end):
            if inner == 1 and inner_kind == VARINT:
                metric_type = read_varint(data, first, last)[0]
            elif inner == 2 and inner_kind == BYTES:
                family = data[first:last].decode("utf-8", "replace")
        if family and metric_type < len(METADATA_TYPES):
            walked.metadata[family] = METADATA_TYPES[metric_type]
    return end


def parse_labels(key: bytes) -> Labels | str:
    """The label set of a series' label bytes, or the reason why it is refused.

    As Prometheus does, labels are sorted here and empty values dropped. Raises MalformedMessage.
    """
    pairs: list[tuple[str, str]] = []
    try:
        for number, kind, start, end in fields(key, 0, len(key)):
            if number == 1 and kind == BYTES:
                pairs.append(_label(key, start, end))
    except UnicodeDecodeError:
        return "invalid_utf8"
    names = [name for name, _ in pairs]
    if "" in names:
        return "empty_label_name"
    if len(set(names)) != len(names):
        return "duplicate_label"
    labels = Labels(pairs)
    return labels if labels.name else "no_metric_name"


def _label(data: bytes, start: int, end: int) -> tuple[str, str]:
    name = value = ""
    for number, kind, first, last in fields(data, start, end):
        if number == 1 and kind == BYTES:
            name = data[first:last].decode()
        elif number == 2 and kind == BYTES:
            value = data[first:last].decode()
    return name, value
