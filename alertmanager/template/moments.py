"""Times and durations as Go's templates see them: methods, layouts, and how they print."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from model.moment import HOUR, MINUTE, SECOND
from wire.gotext import TemplateValueError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = -62_135_596_800_000
"""Go's zero time (year 1) in ms: the end of what still fires."""

_LONGEST = 9_223_372_036_854_775_807
"""Nanoseconds of Go's longest duration; a difference beyond it stays there."""

_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|-07:00|-0700|-07|Z07:00|Z0700|Z07|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|__2|002|_2|01|02|03|04|05|06|15|PM|pm|1|2|3|4|5"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """A time.Duration."""

    nanoseconds: int

    def __str__(self) -> str:
        """As Go prints it.

        >>> str(Duration(90_000_000_000)), str(Duration(1_500_000)), str(Duration(0))
        ('1m30s', '1.5ms', '0s')
        """
        total = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        for unit, scale in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
            if 0 < total < 1_000_000_000 and total < scale * 1000:
                return f"{sign}{_decimal(total, scale)}{unit}"
        minutes, rest = divmod(total, 60_000_000_000)
        text = f"{_decimal(rest, 1_000_000_000)}s"
        if minutes:
            text = f"{minutes % 60}m{text}"
        return f"{sign}{minutes // 60}h{text}" if minutes >= 60 else sign + text

    def __float__(self) -> float:
        return self.nanoseconds / 1e9


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = str(rest).zfill(len(str(scale)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


@dataclass(frozen=True, slots=True)
class Time:
    """A time.Time: milliseconds since the epoch, shown in a zone."""

    milliseconds: int
    zone: tzinfo = UTC

    def __str__(self) -> str:
        fraction = self.format(".999")
        return self.format("2006-01-02 15:04:05") + fraction + self.format(" -0700 MST")

    def moment(self) -> datetime:
        """In its zone. Raises TemplateValueError for a time that no calendar has."""
        try:
            return (_EPOCH + timedelta(milliseconds=self.milliseconds)).astimezone(self.zone)
        except (OverflowError, ValueError) as error:
            raise TemplateValueError(f"{self.milliseconds} ms is no time") from error

    def format(self, layout: str) -> str:
        """By a Go layout.

        >>> Time(1_795_000_000_500).format("Mon 2 Jan 2006 15:04:05.000 MST -07:00")
        'Wed 18 Nov 2026 11:06:40.500 UTC +00:00'
        """
        moment = self.moment()
        return _LAYOUT.sub(lambda found: _part(found[0], moment), layout)

    def iso(self) -> str:
        """As JSON has it: RFC 3339."""
        return _iso(self)

    def sub(self, other: Time) -> Duration:
        """The time from the other to this."""
        difference = (self.milliseconds - other.milliseconds) * 1_000_000
        return Duration(max(-_LONGEST - 1, min(_LONGEST, difference)))

    def in_zone(self, name: str) -> Time:
        """The same moment, shown elsewhere. Raises TemplateValueError for an unknown zone."""
        try:
            return Time(self.milliseconds, UTC if name in ("", "UTC") else ZoneInfo(name))
        except (ValueError, OSError, KeyError) as error:
            raise TemplateValueError(f"unknown time zone {name}") from error


@lru_cache(4096)  # alerts of a storm begin together
def _iso(time: Time) -> str:
    return time.format("2006-01-02T15:04:05.999Z07:00")


_SIMPLE = {
    "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "03": "%I", "06": "%y", "002": "%j",
    "PM": "%p", "MST": "%Z",
}  # fmt: skip
_NUMBERS: Mapping[str, Callable[[datetime], str]] = {
    "2006": lambda moment: f"{moment.year:04d}",
    "01": lambda moment: f"{moment.month:02d}",
    "02": lambda moment: f"{moment.day:02d}",
    "15": lambda moment: f"{moment.hour:02d}",
    "04": lambda moment: f"{moment.minute:02d}",
    "05": lambda moment: f"{moment.second:02d}",
    "1": lambda moment: str(moment.month),
    "2": lambda moment: str(moment.day),
    "_2": lambda moment: f"{moment.day:2d}",
    "__2": lambda moment: f"{moment.timetuple().tm_yday:3d}",
    "3": lambda moment: str(moment.hour % 12 or 12),
    "4": lambda moment: str(moment.minute),
    "5": lambda moment: str(moment.second),
    "pm": lambda moment: moment.strftime("%p").lower(),
}


def _part(code: str, moment: datetime) -> str:
    if code in _NUMBERS:
        return _NUMBERS[code](moment)
    if code in _SIMPLE:
        return moment.strftime(_SIMPLE[code])
    return _fraction(code, moment) if code[0] in ".," else _offset(code, moment)


def _fraction(code: str, moment: datetime) -> str:
    digits = f"{moment.microsecond:06d}000"[: len(code) - 1].ljust(len(code) - 1, "0")
    if code[1] == "9":
        digits = digits.rstrip("0")
    return code[0] + digits if digits else ""


def _offset(code: str, moment: datetime) -> str:
    minutes = round((moment.utcoffset() or timedelta()).total_seconds()) // 60
    if code[0] == "Z" and not minutes:
        return "Z"
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    tail = "" if len(code) == 3 else f":{rest:02d}" if ":" in code else f"{rest:02d}"
    return f"{sign}{hours:02d}{tail}"


HOUR_NANOSECONDS = HOUR * 1_000_000
MINUTE_NANOSECONDS = MINUTE * 1_000_000
SECOND_NANOSECONDS = SECOND * 1_000_000
