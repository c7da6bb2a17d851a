"""Moments and durations. A moment is int milliseconds since the Unix epoch (UTC); so is a duration's unit."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def parse_duration(text: str) -> int:
    """Milliseconds of a Prometheus duration.

    Raises ValueError with the way out if it is none.

    >>> parse_duration("1h30m")
    5400000
    """
    found = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration: write for example 15s, 5m, 1h30m or 500ms")
    return sum(
        int(count) * scale for count, scale in zip(found.groups(), _UNITS.values(), strict=True) if count
    )


def format_duration(milliseconds: int) -> str:
    """The shortest exact spelling.

    >>> format_duration(5_400_000), format_duration(0)
    ('1h30m', '0s')
    """
    if milliseconds < 0:
        return f"-{format_duration(-milliseconds)}"
    parts, rest = [], milliseconds
    for unit, scale in _UNITS.items():
        if unit in ("y", "w") and rest % scale:
            continue  # Prometheus writes 8d, not 1w1d
        count, rest = divmod(rest, scale)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def whole_seconds(milliseconds: int) -> int:
    """The duration without its fraction of a second, for people."""
    return milliseconds // SECOND * SECOND


@lru_cache(maxsize=4096)
def format_moment(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-20T12:00:00.000Z`.

    Remembered for a while: alerts of a storm begin together, and are heard together.
    """
    moment = datetime.fromtimestamp(milliseconds / SECOND, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % SECOND:03d}Z"


def parse_moment(text: str) -> int:
    """Milliseconds of an RFC 3339 moment or of Unix seconds. Raises ValueError if it is neither."""
    try:
        return round(float(text) * SECOND)
    except ValueError:
        pass
    except OverflowError as error:
        raise ValueError(f"{text!r} is not a time") from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither Unix seconds nor an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z or +hh:mm")
    return round(moment.timestamp() * SECOND)
