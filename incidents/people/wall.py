"""Wall-clock times of a time zone, and the instants (ms) that they are.

A time that a change of the clocks leaves out is read with the offset before the change (02:30 becomes
03:30, as RFC 5545 has it); one that is there twice is the first of the two. So each happens once.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, PlainSerializer

from model.moment import SECOND
from model.settings import did_you_mean

DAY_MINUTES = 24 * 60
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def parse_time_of_day(value: object) -> int:
    """Minutes since midnight of `09:00`; `24:00` is the end of the day. Raises ValueError.

    YAML 1.1 reads an unquoted 10:30 as the number 630, which is the same in minutes.

    >>> parse_time_of_day("09:30"), parse_time_of_day(630)
    (570, 630)
    """
    minutes = value if isinstance(value, int) and not isinstance(value, bool) else -1
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is not None and int(found[2]) < 60:
        minutes = int(found[1]) * 60 + int(found[2])
    if not 0 <= minutes <= DAY_MINUTES:
        raise ValueError(f"{value!r} is not a time of day: write for example 09:00")
    return minutes


def format_time_of_day(minutes: int) -> str:
    """`09:00` of 540."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_weekdays(value: object) -> tuple[int, ...]:
    """Weekdays (Monday is 0) of `monday`, `monday:friday` or a list of such. Raises ValueError.

    >>> parse_weekdays(["saturday:monday", "wed"])
    (0, 2, 5, 6)
    """
    found: set[int] = set()
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, int) and 0 <= part < 7:
            found.add(part)
            continue
        first, colon, last = str(part).partition(":")
        begin, end = _weekday(first), _weekday(last if colon else first)
        found |= {(begin + days) % 7 for days in range((end - begin) % 7 + 1)}
    return tuple(sorted(found))


def _weekday(text: str) -> int:
    name = text.strip().lower()
    for number, weekday in enumerate(WEEKDAYS):
        if len(name) >= 3 and weekday.startswith(name):
            return number
    raise ValueError(f"{text!r} is not a weekday: write for example monday, or monday:friday")


def _to_datetime(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(
            f"{value!r} is not a moment: write for example 2026-12-24T18:00, in the schedule's time zone"
        ) from error


TimeOfDay = Annotated[
    int, BeforeValidator(parse_time_of_day), PlainSerializer(format_time_of_day, return_type=str)
]
"""Minutes since midnight, written as `09:00`."""

Weekdays = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_weekdays),
    PlainSerializer(lambda days: [WEEKDAYS[day] for day in days], return_type=list[str]),
]
"""Weekdays (Monday is 0), written as names or ranges."""

WallMoment = Annotated[datetime, BeforeValidator(_to_datetime)]
"""A date and a time of day; without an offset it is in the time zone of what it belongs to."""


def zone_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a time zone and the way out; None if it is one."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        close = did_you_mean(name, available_timezones(), "zones")
        hint = close if close.startswith("did") else "write an IANA name, for example Europe/Berlin"
        return f"{name!r} is not a time zone", hint
    return None


def instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The moment (ms) of a time of day, in minutes since midnight, on a day of the zone."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    return round(wall.replace(tzinfo=zone).timestamp()) * SECOND


def moment_of(wall: datetime, zone: ZoneInfo) -> int:
    """The moment (ms) of a date and time; what has an offset of its own keeps it."""
    return round((wall if wall.tzinfo else wall.replace(tzinfo=zone)).timestamp() * SECOND)


def day_of(now: int, zone: ZoneInfo) -> date:
    """The day that a moment (ms) is on in the zone."""
    return datetime.fromtimestamp(now / SECOND, zone).date()


def local_text(now: int, zone: ZoneInfo) -> str:
    """A moment as a person there writes it: `Mon 2026-11-23 09:00 CET`."""
    return f"{datetime.fromtimestamp(now / SECOND, zone):%a %Y-%m-%d %H:%M %Z}"
