"""What a tier and a kind ask of people: how soon, by which channels, in which steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from incidents.incident import Incident
from incidents.people.schedule import Schedule
from incidents.people.settings import OnCallSettings, PolicySettings, StepSettings
from model.alert import Tier, deadline_of
from model.moment import DAY, MINUTE

CHANNELS: Mapping[Tier, tuple[str, ...]] = {
    Tier.P0: ("phone", "sms"),
    Tier.P1: ("im",),
    Tier.P2: ("im", "mail"),
    Tier.P3: ("mail",),
}
"""By tier. Source: requirement A1."""

KIND_CHANNELS: Mapping[str, tuple[str, ...]] = {
    "threshold": ("mail", "sms"),
    "trend": ("mail",),
    "anomaly": ("sms", "phone"),
    "business": ("phone", "im"),
}
"""By kind of alert. Source: requirement A2."""

GAP_HORIZON = 28 * DAY
"""So far ahead a schedule is searched for times in which nobody is on duty."""

DEGRADED_DEADLINE = 30 * MINUTE
"""For a P2 once a service has degraded. Source: requirement A5."""


def deadline_for(tier: Tier, kinds: Iterable[str], degraded: bool) -> int:
    """Within how many ms somebody must acknowledge: the strictest of the tier and of every kind."""
    deadline = min([deadline_of(tier), *(deadline_of(tier, kind) for kind in kinds)])
    return min(deadline, DEGRADED_DEADLINE) if degraded and tier <= Tier.P2 else deadline


def channels_for(tier: Tier, kinds: Iterable[str]) -> list[str]:
    """Those of the tier, and of each kind that asks for an answer sooner than the tier does.

    >>> channels_for(Tier.P1, ["anomaly", "trend"])
    ['im', 'sms', 'phone']
    """
    urgent = [kind for kind in kinds if deadline_of(tier, kind) < deadline_of(tier)]
    found = [*CHANNELS[tier], *(channel for kind in urgent for channel in KIND_CHANNELS.get(kind, ()))]
    return list(dict.fromkeys(found))


def degraded(incident: Incident) -> bool:
    """Whether users feel it: an alert that fires names a service."""
    return any(entity.kind == "service" for member in incident.firing for entity in member.entities)


class Reached(NamedTuple):
    """A receiver to notify and the sentence that says for whom."""

    receiver: str
    whom: str


class Policies:
    """The configured people, and whom each step of a tier's policy reaches."""

    def __init__(self, settings: OnCallSettings) -> None:
        self._settings = settings
        self._people = {person.name: person for person in settings.people}
        self.schedules = {schedule.name: Schedule(schedule) for schedule in settings.schedules}
        self._policies = {tier: self._policy(tier) for tier in Tier}

    @property
    def enabled(self) -> bool:
        """Whether anybody is to be notified beside the routes."""
        return self._settings.enabled

    def duties(self, now: int) -> list[dict[str, str]]:
        """Who is on duty and who is next, by schedule, as JSON."""
        return [schedule.document(now) for schedule in self.schedules.values()]

    def gaps(self, now: int) -> list[str]:
        """Sentences on the schedules that have nobody on duty at some time within GAP_HORIZON."""
        found = (schedule.first_gap(now, GAP_HORIZON) for schedule in self.schedules.values())
        return [f"{gap}: the fallback is notified then" for gap in found if gap]

    def of(self, tier: Tier) -> PolicySettings:
        """The policy of a tier."""
        return self._policies[tier]

    def reached(self, step: StepSettings, channels: Sequence[str], now: int) -> list[Reached]:
        """Every receiver of a step, once each."""
        found: dict[str, list[str]] = {}
        for name in self._named(step):
            for receiver in self._people[name].receivers_by(channels):
                found.setdefault(receiver, []).append(name)
        for schedule in step.schedules:
            for receiver, whom in self._on_duty(self.schedules[schedule], channels, now):
                found.setdefault(receiver, []).append(whom)
        for receiver in step.receivers:
            found.setdefault(receiver, [])
        return [Reached(receiver, ", ".join(dict.fromkeys(whom))) for receiver, whom in found.items()]

    def owner(self, receiver: str) -> str:
        """The person whose receiver it is; the receiver's name where it is nobody's alone."""
        owners = {
            person.name
            for person in self._people.values()
            if any(name == receiver for _, _, name in person.named())
        }
        return owners.pop() if len(owners) == 1 else receiver

    def everybody(self, channels: Sequence[str]) -> list[str]:
        """The receivers of all people."""
        found = [name for person in self._people.values() for name in person.receivers_by(channels)]
        return list(dict.fromkeys(found))

    def _named(self, step: StepSettings) -> list[str]:
        return list(self._people) if step.everybody else list(step.people)

    def _on_duty(self, schedule: Schedule, channels: Sequence[str], now: int) -> list[tuple[str, str]]:
        duty = schedule.on_duty(now)
        if duty.person is not None:
            whom = f"{duty.person} ({duty.why.removeprefix(duty.person + ' ')})"
            return [(receiver, whom) for receiver in self._people[duty.person].receivers_by(channels)]
        if self._settings.fallback:
            return [(receiver, f"the fallback, for {duty.why}") for receiver in self._settings.fallback]
        return [
            (receiver, f"{name}, for {duty.why}")
            for name in schedule.people
            for receiver in self._people[name].receivers_by(channels)
        ]

    def _policy(self, tier: Tier) -> PolicySettings:
        """As configured, or what a tier means: see requirements A1 and A5."""
        for name, policy in self._settings.escalation.items():
            if Tier[name] is tier:
                return policy
        everybody = StepSettings(everybody=True)
        if tier is Tier.P3 or not self._people:
            return PolicySettings()
        if tier is Tier.P0 or not self.schedules:
            return PolicySettings(steps=(everybody,), repeat=None if tier <= Tier.P1 else 1)
        on_duty = StepSettings(schedules=tuple(self.schedules))
        return PolicySettings(steps=(on_duty, everybody), repeat=None if tier is Tier.P1 else 0)
