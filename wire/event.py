"""What an EVENT frame holds: a JSON object, sent the moment that something happens.

    type    a word: xid, sxid, gpu_lost, gpu_back, probe_hung; the only key that must be there
    node    the sender, by which it is known before any schema has come
    labels  of the entity (node, gpu, uuid, xid), values are text
    value   a number; at: when it happened, ms since the epoch; text: for people
    ahead   samples that go before their frame, their labels as in a schema:
            [[[[label, value], ...], value, at], ...]

An agent of an earlier version sends type, labels, value and at only, and names the node among the labels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.labels import Labels
from wire.frames import LATEST, FrameLimits, MalformedFrame, checked_labels, loaded

MOST_AHEAD = 64
"""Samples that go ahead with one event."""
MOST_LABELS = 32
LONGEST_TYPE = 64
LONGEST_TEXT = 4096
"""Labels of the entity, and characters of the type and the text."""


@dataclass(frozen=True, slots=True)
class AheadSample:
    """A sample of a series, the metric name among its labels; `at` in ms."""

    labels: Labels
    value: float
    at: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it came. What an earlier agent does not send is empty, an unknown `at` is 0."""

    type: str
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
    at: int = 0
    text: str = ""
    node: str = ""
    ahead: Sequence[AheadSample] = ()


def pack_event(event: EventRecord) -> bytes:
    """Payload of an EVENT frame."""
    document = {
        "type": event.type,
        "node": event.node,
        "labels": dict(event.labels),
        "value": event.value,
        "at": event.at,
        "text": event.text,
        "ahead": [[sample.labels.pairs, sample.value, sample.at] for sample in event.ahead],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def unpack_event(payload: bytes, limits: FrameLimits | None = None) -> EventRecord:
    """The event. Raises MalformedFrame if it is none or exceeds the limits."""
    limits = limits or FrameLimits()
    document = loaded(payload)
    if not isinstance(document, dict):
        raise MalformedFrame("an event is a JSON object")
    labels = document.get("labels", {})
    if not isinstance(labels, dict) or len(labels) > MOST_LABELS:
        raise MalformedFrame(f"the labels of an event are an object of at most {MOST_LABELS}")
    node = _text(document, "node", limits.label_length)
    longest = limits.label_length
    at = document.get("at", 0)
    return EventRecord(
        _type(document),
        {_short(name, longest): _short(value, longest) for name, value in labels.items()},
        _number(document.get("value", 0.0)),
        0 if at == 0 else _moment(at),
        _text(document, "text", LONGEST_TEXT),
        node or str(labels.get("node", "")),
        _ahead(document.get("ahead", []), limits),
    )


def _type(document: Mapping[str, Any]) -> str:
    found = _text(document, "type", LONGEST_TYPE)
    if not found:
        raise MalformedFrame("an event is a JSON object with a type")
    return found


def _text(document: Mapping[str, Any], key: str, longest: int) -> str:
    return _short(document.get(key, ""), longest)


def _short(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise MalformedFrame(f"{str(value)[:40]!r} in an event is no text of at most {longest} characters")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedFrame(f"{str(value)[:40]!r} in an event is no number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _moment(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < LATEST:
        raise MalformedFrame(f"{str(value)[:40]!r} in an event is no moment in ms")
    return value


def _ahead(rows: object, limits: FrameLimits) -> tuple[AheadSample, ...]:
    if not isinstance(rows, list) or len(rows) > MOST_AHEAD:
        raise MalformedFrame(f"`ahead` of an event is a list of at most {MOST_AHEAD} samples")
    samples = []
    for row in rows:
        try:
            pairs, value, at = row
            labels = checked_labels(pairs, limits)
        except (TypeError, ValueError) as error:
            if isinstance(error, MalformedFrame):
                raise
            raise MalformedFrame("a sample ahead is [[[label, value], ...], value, at]") from error
        samples.append(AheadSample(labels, _number(value), _moment(at)))
    return tuple(samples)
