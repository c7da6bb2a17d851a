"""Ranges in settings and fault files: `5s` or `[5s, 15s]`; a use draws one value."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from model.moment import format_duration, parse_duration


def _ends(value: object) -> tuple[object, object]:
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"{value!r} is not a range: write one value or [low, high]")
        return value[0], value[1]
    return value, value


def _duration(value: object) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and isinstance(value, int):
        return 0
    raise ValueError(f"{value!r} is not a duration: write for example 5s or 2m")


def _durations(value: object) -> tuple[int, int]:
    low, high = (_duration(end) for end in _ends(value))
    if low > high:
        raise ValueError(f"the range [{format_duration(low)}, {format_duration(high)}] is upside down")
    return low, high


def format_durations(span: tuple[int, int]) -> str:
    """A range as a person writes it.

    >>> format_durations((5_000, 15_000)), format_durations((5_000, 5_000))
    ('5s to 15s', '5s')
    """
    low, high = span
    return format_duration(low) if low == high else f"{format_duration(low)} to {format_duration(high)}"


DurationRange = Annotated[
    tuple[int, int],
    BeforeValidator(_durations),
    PlainSerializer(lambda span: [format_duration(end) for end in span], return_type=list),
]
"""One duration or two ends, in ms."""


def draw(span: tuple[float, float], source: random.Random) -> float:
    """A value between the two ends, both included."""
    low, high = span
    return low if low == high else source.uniform(low, high)


def draw_duration(span: tuple[int, int], source: random.Random) -> int:
    """A duration between the two ends (ms)."""
    return round(draw(span, source))
