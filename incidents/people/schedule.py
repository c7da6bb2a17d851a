"""Who is on duty: at every moment one person, or a gap that says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from incidents.people.settings import LayerSettings, ScheduleSettings, TimesSettings
from incidents.people.wall import day_of, instant, local_text, moment_of

_LONGEST_LOOK = 400
"""So many changes are looked at for the next person: more than a year of daily turns."""


class Duty(NamedTuple):
    """Who is on duty (None: nobody), why, and when that is looked at anew (ms; None: never)."""

    person: str | None
    why: str
    until: int | None


class Times:
    """Times of weekdays in a zone, as instants."""

    def __init__(self, settings: tuple[TimesSettings, ...], zone: ZoneInfo) -> None:
        self._settings = settings
        self._zone = zone

    def __bool__(self) -> bool:
        return bool(self._settings)

    def __contains__(self, now: int) -> bool:
        return any(begin <= now < end for begin, end in self._around(now))

    def end_of(self, now: int) -> int:
        """When the times that contain `now` are over (ms), also where one follows at the end of another."""
        end = now
        for _ in range(_LONGEST_LOOK):
            further = max((until for begin, until in self._around(end) if begin <= end < until), default=end)
            if further == end:
                break
            end = further
        return end

    def edges(self, now: int) -> Iterator[int]:
        """Moments after `now` within eight days at which they begin or end."""
        for begin, end in self._around(now, 8):
            yield from (edge for edge in (begin, end) if edge > now)

    def _around(self, now: int, days: int = 1) -> Iterator[tuple[int, int]]:
        today = day_of(now, self._zone)
        for offset in range(-1, days + 1):
            day = today + timedelta(days=offset)
            for times in self._settings:
                if day.weekday() in times.weekdays:
                    end_day = day + timedelta(days=times.to <= times.from_)
                    yield instant(day, times.from_, self._zone), instant(end_day, times.to, self._zone)


class _Layer:
    """One rotation: turns of whole days of the zone, each from a handover to the next."""

    def __init__(self, settings: LayerSettings, zone: ZoneInfo) -> None:
        self._settings = settings
        self._zone = zone
        self._days = 7 if settings.rotation == "weekly" else 1
        self._times = Times(settings.restrictions, zone)

    def person(self, now: int) -> str | None:
        turn = self._turn(now)
        if turn < 0 or (self._times and now not in self._times):
            return None
        return self._settings.people[turn % len(self._settings.people)]

    def edges(self, now: int) -> Iterator[int]:
        """Moments after `now` at which the answer may change, the first turn's begin among them."""
        yield self._handover(max(self._turn(now) + 1, 0))
        yield from self._times.edges(now)

    def _turn(self, now: int) -> int:
        """Number of the turn that contains `now`; negative before the start."""
        turn = (day_of(now, self._zone) - self._settings.start).days // self._days
        while self._handover(turn) > now:
            turn -= 1
        while self._handover(turn + 1) <= now:
            turn += 1
        return turn

    def _handover(self, turn: int) -> int:
        day: date = self._settings.start + timedelta(days=turn * self._days)
        return instant(day, self._settings.handover, self._zone)


class Schedule:
    """A schedule of the configuration. Its settings must have passed check.py."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self.name = settings.name
        self.zone = ZoneInfo(settings.time_zone)
        self._layers = [_Layer(layer, self.zone) for layer in settings.layers]
        self._overrides = [
            (moment_of(one.from_, self.zone), moment_of(one.until, self.zone), one.who)
            for one in settings.overrides
        ]
        listed = [name for layer in settings.layers for name in layer.people]
        self.people = tuple(dict.fromkeys([*listed, *(one.who for one in settings.overrides)]))

    def on_duty(self, now: int) -> Duty:
        """Who is on duty at `now` (ms). Pure: it depends on nothing else."""
        until = self._until(now)
        for begin, end, who in self._overrides:
            if begin <= now < end:
                return Duty(who, f"{who} stands in until {local_text(end, self.zone)}", until)
        for layer in self._layers:
            person = layer.person(now)
            if person is not None:
                return Duty(person, f"{person} is on duty in {self.name}", until)
        return Duty(None, f"nobody is on duty in {self.name} at {local_text(now, self.zone)}", until)

    def changes(self, now: int) -> Iterator[tuple[int, Duty]]:
        """From `now` on: each moment (ms) from which somebody else, or nobody, is on duty."""
        at, duty = now, self.on_duty(now)
        yield at, duty
        for _ in range(_LONGEST_LOOK):
            if duty.until is None:
                return
            at, before = duty.until, duty
            duty = self.on_duty(at)
            if duty.person != before.person:
                yield at, duty

    def document(self, now: int) -> dict[str, str]:
        """Who is on duty now, and who is next, as JSON with moments in the schedule's zone."""
        (_, duty), *later = islice(self.changes(now), 2)
        shown = {"schedule": self.name, "now": duty.person or "", "why": duty.why, "next": "", "from": ""}
        if later:
            at, following = later[0]
            shown |= {"next": following.person or "nobody", "from": local_text(at, self.zone)}
        return shown

    def first_gap(self, now: int, horizon: int) -> str:
        """A sentence on the first time within `horizon` (ms) in which nobody is on duty; empty if none."""
        for at, duty in self.changes(now):
            if at >= now + horizon:
                break
            if duty.person is None:
                after = next(islice(self.changes(at), 1, None), None)
                end = f" until {local_text(after[0], self.zone)}" if after else ""
                return f"nobody is on duty in {self.name} from {local_text(at, self.zone)}{end}"
        return ""

    def _until(self, now: int) -> int | None:
        edges = [edge for layer in self._layers for edge in layer.edges(now)]
        edges += [edge for begin, end, _ in self._overrides for edge in (begin, end)]
        return min((edge for edge in edges if edge > now), default=None)
