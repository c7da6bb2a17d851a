"""Time intervals: whether a route is muted now, in the time zones that its intervals name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alertmanager.route import Route
from alertmanager.settings import AlertmanagerSettings
from alertmanager.settings.intervals import (
    IntervalSettings,
    Range,
    TimeIntervalSettings,
    day_range,
    minute_of_day,
    month_range,
    weekday_range,
    year_range,
    zone_of,
)
from model.decision import Decision, allow, refuse
from model.moment import SECOND


@dataclass(frozen=True)
class Interval:
    """One interval. None is no condition; a list without anything in it is never true, as in Alertmanager."""

    times: tuple[Range, ...] | None
    weekdays: tuple[Range, ...] | None
    days: tuple[Range, ...] | None
    months: tuple[Range, ...] | None
    years: tuple[Range, ...] | None
    zone: ZoneInfo | None
    location: str

    def contains(self, now: int) -> bool:
        """Whether the moment (ms) lies in it."""
        local = self.local(now)
        minute = local.hour * 60 + local.minute
        return (
            (self.times is None or any(begin <= minute < end for begin, end in self.times))
            and (self.days is None or any(_in_month(days, local) for days in self.days))
            and _among(local.month, self.months)
            and _among(local.isoweekday() % 7, self.weekdays)
            and _among(local.year, self.years)
        )

    def local(self, now: int) -> datetime:
        """The moment on the clocks of its zone."""
        moment = datetime.fromtimestamp(now // SECOND, UTC)
        return moment.astimezone(self.zone)


def _among(value: int, ranges: Sequence[Range] | None) -> bool:
    return ranges is None or any(first <= value <= last for first, last in ranges)


def _in_month(days: Range, local: datetime) -> bool:
    """Days that count from the end are turned around; what lies beyond the month is cut off."""
    length = _days_in_month(local)
    first, last = (day + length + 1 if day < 0 else day for day in days)
    return first <= local.day <= min(last, length)


def _days_in_month(local: datetime) -> int:
    following = local.replace(day=28) + timedelta(days=4)
    return (following - timedelta(days=following.day)).day


class Intervals:
    """The time intervals of a configuration, by name. Times are int ms; nothing here reads a clock."""

    def __init__(self, settings: Iterable[TimeIntervalSettings] = ()) -> None:
        self._named = {named.name: tuple(map(_built, named.time_intervals)) for named in settings}

    @classmethod
    def of(cls, settings: AlertmanagerSettings) -> Intervals:
        """The intervals of a configuration, under both of their keys."""
        return cls([*settings.mute_time_intervals, *settings.time_intervals])

    def contains(self, name: str, now: int) -> bool:
        """Whether the moment lies in any of the name's intervals. Raises KeyError for an unknown name."""
        return any(interval.contains(now) for interval in self._named[name])

    def muted(self, route: Route, now: int) -> Decision:
        """Whether the groups of this route are not notified now (go = True), and why."""
        for name in route.mute:
            if self.contains(name, now):
                return allow(f"the time interval {self._told(name, now)} mutes this route")
        if not route.active or any(self.contains(name, now) for name in route.active):
            return refuse("no time interval mutes this route")
        names = " and ".join(self._told(name, now) for name in route.active)
        return allow(f"this route is active only in the time interval {names}")

    def muting(self, route: Route, now: int) -> tuple[str, ...]:
        """The names of the intervals that mute a route now: those to mute it, or all that it is active in."""
        muting = tuple(name for name in route.mute if self.contains(name, now))
        if muting or any(self.contains(name, now) for name in route.active):
            return muting
        return tuple(route.active)

    def _told(self, name: str, now: int) -> str:
        """The name and the clock of its zone: `nights (22:30 in Europe/Berlin)`."""
        zones = {interval.location: f"{interval.local(now):%H:%M}" for interval in self._named[name]}
        clocks = ", ".join(f"{clock} in {zone}" for zone, clock in zones.items())
        return f"{name!r} ({clocks})" if clocks else f"{name!r} (which is empty)"


def _built(settings: IntervalSettings) -> Interval:
    times = settings.times
    return Interval(
        times=None
        if times is None
        else tuple((minute_of_day(part.start_time), minute_of_day(part.end_time)) for part in times),
        weekdays=_ranges(settings.weekdays, weekday_range),
        days=_ranges(settings.days_of_month, day_range),
        months=_ranges(settings.months, month_range),
        years=_ranges(settings.years, year_range),
        zone=zone_of(settings.location),
        location=settings.location or "UTC",
    )


def _ranges(texts: tuple[str, ...] | None, read: Callable[[str], Range]) -> tuple[Range, ...] | None:
    return None if texts is None else tuple(map(read, texts))
