"""What is wrong between the parts of `on_call:` and the receivers, all of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from zoneinfo import ZoneInfo

from alertmanager.matching import parse_matchers
from incidents.people.settings import LayerSettings, OnCallSettings, ScheduleSettings, StepSettings
from incidents.people.wall import moment_of, zone_problem
from model.settings import Problem, did_you_mean

Found = Iterator[tuple[str, str, str]]
"""Key, message, hint."""


def problems_of_on_call(
    settings: OnCallSettings,
    receivers: Collection[str],
    file: str,
    key: str = "incidents.on_call",
    mute: Collection[str] = (),
) -> list[Problem]:
    """Everything that is wrong; `receivers` are the names of those in the section alertmanager.

    `mute` are those of them without an integration: what they are sent reaches nobody.
    """
    found = _Check(settings, receivers, mute).all()
    return [Problem(file, f"{key}.{place}", message, hint) for place, message, hint in found]


class _Check:
    def __init__(
        self, settings: OnCallSettings, receivers: Collection[str], mute: Collection[str] = ()
    ) -> None:
        self._settings = settings
        self._mute = mute
        self._receivers = receivers
        self._people = [person.name for person in settings.people]
        self._schedules = [schedule.name for schedule in settings.schedules]

    def all(self) -> Found:
        settings = self._settings
        yield from _twice(self._people, "people")
        yield from _twice(self._schedules, "schedules")
        for index, person in enumerate(settings.people):
            place = f"people.{index}"
            if not list(person.named()):
                yield place, f"{person.name} has no receiver", "name one, for example in receivers"
            for field, position, receiver in person.named():
                yield from self._receiver(f"{place}.{field}.{position}", receiver)
        for index, schedule in enumerate(settings.schedules):
            yield from self._schedule(f"schedules.{index}", schedule)
        for tier, policy in settings.escalation.items():
            for position, step in enumerate(policy.steps):
                yield from self._step(f"escalation.{tier}.steps.{position}", step)
        for field, names in (
            ("fallback", settings.fallback),
            ("status_receivers", settings.status_receivers),
            ("digest.receivers", settings.digest.receivers),
        ):
            for position, receiver in enumerate(names):
                yield from self._receiver(f"{field}.{position}", receiver)
        yield from _zone("quiet_hours.time_zone", settings.quiet_hours.time_zone)
        yield from _zone("digest.time_zone", settings.digest.time_zone)
        yield from _matchers("core_services", settings.core_services)

    def _schedule(self, place: str, schedule: ScheduleSettings) -> Found:
        bad_zone = list(_zone(f"{place}.time_zone", schedule.time_zone))
        yield from bad_zone
        if not schedule.layers:
            yield f"{place}.layers", "is empty: nobody is ever on duty", "write a layer with people"
        for position, layer in enumerate(schedule.layers):
            yield from self._layer(f"{place}.layers.{position}", layer)
        zone = ZoneInfo("UTC" if bad_zone else schedule.time_zone)
        for position, override in enumerate(schedule.overrides):
            there = f"{place}.overrides.{position}"
            yield from self._person(f"{there}.who", override.who)
            if moment_of(override.until, zone) <= moment_of(override.from_, zone):
                message = f"{override.until.isoformat()} is not after from ({override.from_.isoformat()})"
                yield f"{there}.until", message, "write an end after the begin"

    def _layer(self, place: str, layer: LayerSettings) -> Found:
        if not layer.people:
            yield f"{place}.people", "is empty: a rotation needs somebody", "write the names in turn"
        for position, name in enumerate(layer.people):
            yield from self._person(f"{place}.people.{position}", name)
        if layer.start.year > 9000:
            yield f"{place}.start", f"{layer.start} is too far away", "write the day of the first turn"

    def _step(self, place: str, step: StepSettings) -> Found:
        if not (step.schedules or step.people or step.receivers or step.everybody):
            hint = "write schedules, people, receivers or everybody: true"
            yield place, "notifies nobody", hint
        for position, name in enumerate(step.schedules):
            yield from _known(f"{place}.schedules.{position}", name, self._schedules, "schedule")
        for position, name in enumerate(step.people):
            yield from self._person(f"{place}.people.{position}", name)
        for position, name in enumerate(step.receivers):
            yield from self._receiver(f"{place}.receivers.{position}", name)

    def _person(self, place: str, name: str) -> Found:
        return _known(place, name, self._people, "person", "people")

    def _receiver(self, place: str, name: str) -> Found:
        yield from _known(place, name, self._receivers, "receiver of the section alertmanager", "receivers")
        if name in self._mute:
            hint = "give it one, for example webhook_configs, or name another receiver"
            yield place, f"the receiver {name!r} has no integration: it reaches nobody", hint


def _known(place: str, name: str, known: Collection[str], what: str, plural: str = "") -> Found:
    if name not in known:
        hint = did_you_mean(name, known, plural or f"{what}s")
        yield place, f"{name!r} is no {what}", hint or f"there are no {plural or what + 's'} yet: write one"


def _twice(names: Iterable[str], place: str) -> Found:
    for name, count in Counter(names).items():
        if count > 1:
            yield place, f"{name!r} is there {count} times", "give each a name of its own"


def _zone(place: str, name: str) -> Found:
    problem = zone_problem(name)
    if problem is not None:
        yield place, *problem


def _matchers(place: str, lines: Collection[str]) -> Found:
    for position, line in enumerate(lines):
        try:
            parse_matchers(line)
        except ValueError as error:
            yield f"{place}.{position}", str(error), 'write for example model_name="chat"'
