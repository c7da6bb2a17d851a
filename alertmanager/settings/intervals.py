"""Named time intervals, in which routes are muted or active.

time_intervals:
- name: nights
time_intervals:
- times: [{start_time: "22:00", end_time: "24:00"}, {start_time: "00:00", end_time: "06:00"}]
weekdays: ["monday:friday"]
days_of_month: ["1:5", "-3:-1"]
months: ["january:march", "12"]
years: ["2026:2028"]
location: Europe/Berlin
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from alertmanager.settings.common import Text
from model.settings import Settings

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
LOCAL = "Local"
"""The name of the process's own time zone."""

_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_SHORTEST_MONTH = 28

Range = tuple[int, int]
"""First and last, both included."""


def minute_of_day(text: str) -> int:
    """Minutes since midnight of `HH:MM`; 24:00 is the end of the day. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time of day: write HH:MM from 00:00 to 24:00")
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _range(text: str, member: Callable[[str], int]) -> Range:
    parts = text.lower().split(":")
    if len(parts) > 2:
        raise ValueError(f"{text!r} is not a range: write first:last")
    return member(parts[0]), member(parts[-1])


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _ordered(found: Range, text: str) -> Range:
    if found[0] > found[1]:
        raise ValueError(f"{text!r} ends before it begins")
    return found


def weekday_range(text: str) -> Range:
    """`monday:friday` or one day; Sunday is 0 and begins the week. Raises ValueError."""

    def member(name: str) -> int:
        if name not in WEEKDAYS:
            raise ValueError(f"{name!r} is not a weekday: write one of {', '.join(WEEKDAYS)}")
        return WEEKDAYS.index(name)

    return _ordered(_range(text, member), text)


def month_range(text: str) -> Range:
    """`january:march`, `1:3` or one month. Raises ValueError."""

    def member(name: str) -> int:
        number = MONTHS.index(name) + 1 if name in MONTHS else 0
        number = number or (int(name) if _NUMBER.fullmatch(name) else 0)
        if not 1 <= number <= 12:
            raise ValueError(f"{name!r} is not a month: write its English name or 1 to 12")
        return number

    return _ordered(_range(text, member), text)


def year_range(text: str) -> Range:
    """`2026:2028` or one year. Raises ValueError."""
    return _ordered(_range(text, _number), text)


def day_range(text: str) -> Range:
    """`1:5` or one day of the month; negative days count from its end, -1 is the last. Raises ValueError.

    Whether it ends before it begins can depend on the month: refused is what is so in the shortest.
    """
    first, last = _range(text, _number)
    for day in (first, last):
        if day == 0 or not -31 <= day <= 31:
            raise ValueError(f"{day} is not a day of the month: write 1 to 31, or -1 to -31 from its end")
    if first < 0 < last:
        raise ValueError(f"{text!r}: the last day must be negative if the first is")
    at_least = [day + _SHORTEST_MONTH if day < 0 else day for day in (first, last)]
    if at_least[0] > at_least[1]:
        raise ValueError(f"{text!r} ends before it begins")
    return first, last


def _checked(read: Callable[[str], Range]) -> AfterValidator:
    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of a name in IANA's database, "" is UTC; None is the process's own. Raises ValueError."""
    if name == LOCAL:
        return None
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, LookupError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone: write for example Europe/Berlin or UTC") from error


def _checked_zone(name: str) -> str:
    zone_of(name)
    return name


class TimesSettings(Settings):
    """A part of the day, its end not included."""

    start_time: Text = Field(description="`HH:MM`.")
    end_time: Text = Field(description="`HH:MM`, up to 24:00.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if minute_of_day(self.start_time) >= minute_of_day(self.end_time):
            raise ValueError(
                "start_time must be before end_time: a night is two parts, until 24:00 and from 00:00"
            )
        return self


class IntervalSettings(Settings):
    """One interval: every key that is given must hold, by any of its values."""

    times: tuple[TimesSettings, ...] | None = Field(None, description="Parts of the day.")
    weekdays: tuple[Annotated[Text, _checked(weekday_range)], ...] | None = Field(
        None, description="Weekdays, as `monday:friday`."
    )
    days_of_month: tuple[Annotated[Text, _checked(day_range)], ...] | None = Field(
        None, description="Days, as `1:5`; negative ones count from the end of the month."
    )
    months: tuple[Annotated[Text, _checked(month_range)], ...] | None = Field(
        None, description="Months by name or number, as `may:august`."
    )
    years: tuple[Annotated[Text, _checked(year_range)], ...] | None = Field(
        None, description="Years, as `2026:2028`."
    )
    location: Annotated[Text, AfterValidator(_checked_zone)] = Field(
        "", description="IANA time zone; else UTC."
    )


class TimeIntervalSettings(Settings):
    """A name for a set of time intervals."""

    name: Text = Field(min_length=1, description="The name that routes use.")
    time_intervals: tuple[IntervalSettings, ...] = Field((), description="The intervals; any of them counts.")
