"""The part `on_call:` of the section `incidents:`: people, their schedules, and who is notified when.

    incidents:
      on_call:
        people:
          - {name: ada, phone: [ada-phone], im: [team-chat]}
          - {name: bo, phone: [bo-phone], im: [team-chat]}
        schedules:
          - name: operations
            time_zone: Europe/Berlin
            layers: [{people: [ada, bo], rotation: weekly, handover: "09:00"}]

That is all: tiers have policies without a word (see `escalation`). Names after `phone`, `sms`, `im`,
`mail` and `receivers` are receivers of the section alertmanager. What these settings say of one another
is checked in incidents/people/check.py, so that all of it is said at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from incidents.people.wall import DAY_MINUTES, TimeOfDay, WallMoment, Weekdays
from model.moment import HOUR, MINUTE
from model.settings import Duration, Settings

PositiveDuration = Annotated[Duration, Field(gt=0)]
Channel = Literal["phone", "sms", "im", "mail"]
TierName = Literal["P0", "P1", "P2", "P3"]
ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)


class PersonSettings(Settings):
    """Somebody who can be notified, and by which receivers."""

    name: str = Field(min_length=1, description="The name that schedules use, and that acknowledges.")
    receivers: tuple[str, ...] = Field((), description="Receivers for every matter.")
    phone: tuple[str, ...] = Field((), description="Receivers that ring: P0, and anomalies.")
    sms: tuple[str, ...] = Field((), description="Receivers of text messages: P0, thresholds, anomalies.")
    im: tuple[str, ...] = Field((), description="Receivers of chat messages: P1, P2, business.")
    mail: tuple[str, ...] = Field((), description="Receivers of mail: P2, the digest, thresholds, trends.")

    def named(self) -> Iterable[tuple[str, int, str]]:
        """Field, position and name of every receiver."""
        for field in ("receivers", "phone", "sms", "im", "mail"):
            for position, receiver in enumerate(getattr(self, field)):
                yield field, position, receiver

    def receivers_by(self, channels: Iterable[str]) -> list[str]:
        """Those for every matter and those of these channels; all that there are if that is none."""
        chosen = [*self.receivers, *(name for channel in channels for name in getattr(self, channel))]
        return list(dict.fromkeys(chosen or [receiver for _, _, receiver in self.named()]))


class TimesSettings(Settings):
    """Times of some weekdays. They end on the next day where `to` is not after `from`."""

    weekdays: Weekdays = Field(ALL_DAYS, description="Days on which they begin, as `monday:friday`.")
    from_: TimeOfDay = Field(0, alias="from", description="Begin.")
    to: TimeOfDay = Field(DAY_MINUTES, description="End; 24:00 is the end of the day.")


class LayerSettings(Settings):
    """A rotation. Without `people` in turn there is none."""

    people: tuple[str, ...] = Field(description="Names, in the order in which they take turns.")
    rotation: Literal["daily", "weekly"] = Field("weekly", description="How long a turn is.")
    handover: TimeOfDay = Field(9 * 60, description="Time of day at which the next one takes over.")
    start: date = Field(
        date(2024, 1, 1),
        description="Day of the first one's first turn; a weekly turn begins on its weekday (a Monday).",
    )
    restrictions: tuple[TimesSettings, ...] = Field(
        (), description="Times in which the layer has somebody on duty; without any always."
    )


class OverrideSettings(Settings):
    """Somebody stands in."""

    who: str = Field(min_length=1, description="Name of the person.")
    from_: WallMoment = Field(alias="from", description="Begin, as `2026-12-24T18:00`.")
    until: WallMoment = Field(description="End.")


class ScheduleSettings(Settings):
    """Who is on duty when: an override, else the first layer that has somebody."""

    name: str = Field(min_length=1, description="The name that policies use.")
    time_zone: str = Field("UTC", description="IANA name, as `Europe/Berlin`: all its times are there.")
    layers: tuple[LayerSettings, ...] = Field(description="Rotations; the first with somebody counts.")
    overrides: tuple[OverrideSettings, ...] = Field((), description="Stand-ins; the first counts.")


class StepSettings(Settings):
    """Whom to notify, and how long to wait for somebody to acknowledge."""

    schedules: tuple[str, ...] = Field((), description="Whoever is on duty there.")
    people: tuple[str, ...] = Field((), description="These people.")
    receivers: tuple[str, ...] = Field((), description="These receivers of the section alertmanager.")
    everybody: bool = Field(False, description="All people.")
    wait: PositiveDuration | None = Field(
        None, description="Until the next step; unset is the deadline: of the tier or the kind, the stricter."
    )


class PolicySettings(Settings):
    """Steps one after the other until somebody acknowledges."""

    steps: tuple[StepSettings, ...] = Field((), description="The steps; none notifies nobody.")
    repeat: int | None = Field(
        None, ge=0, description="How often they are gone through again; unset is until somebody answers."
    )


class QuietHoursSettings(Settings):
    """Times in which P2 and P3 wake nobody; what came is one message at their end."""

    time_zone: str = Field("UTC", description="IANA name.")
    times: tuple[TimesSettings, ...] = Field((), description="The quiet times; none is never.")


class DigestSettings(Settings):
    """One message that lists the P3 incidents of a period."""

    rotation: Literal["daily", "weekly"] = Field("weekly", description="The period.")
    weekday: Weekdays = Field((0,), max_length=1, min_length=1, description="Day of a weekly digest.")
    at: TimeOfDay = Field(9 * 60, description="Time of day.")
    time_zone: str = Field("UTC", description="IANA name.")
    receivers: tuple[str, ...] = Field((), description="Who gets it; unset is everybody, by mail.")


class OnCallSettings(Settings):
    """People and how an incident finds them. Without people, routes alone notify."""

    people: tuple[PersonSettings, ...] = Field((), description="Who can be notified.")
    schedules: tuple[ScheduleSettings, ...] = Field((), description="Who is on duty when.")
    escalation: dict[TierName, PolicySettings] = Field(
        default={},
        description="Steps by tier. Unless given: P0 everybody at once, P1 and P2 whoever is on duty, "
        "then everybody, P3 nobody.",
    )
    fallback: tuple[str, ...] = Field(
        (), description="Receivers where a schedule has nobody; unset is all people of the schedule."
    )
    core_services: tuple[str, ...] = Field(
        (), description='Matchers of alerts on core services, as `model_name="chat"`: one tier more urgent.'
    )
    grown_by: float = Field(
        0.5, ge=0, description="An incident has grown when it reaches so much more (0.5: half as much again)."
    )
    p2_limit: PositiveDuration = Field(
        HOUR,
        description="A P2 that is open for so long, acknowledged or not, is told to those of P1; "
        "in quiet hours at their end.",
    )
    status_interval: PositiveDuration = Field(
        15 * MINUTE, description="How often the state of an open P0 is told."
    )
    status_receivers: tuple[str, ...] = Field(
        (), description="Who is told it; unset is every receiver that has heard of the incident."
    )
    quiet_hours: QuietHoursSettings = Field(QuietHoursSettings(), description="When P2 and P3 wait.")
    digest: DigestSettings = Field(DigestSettings(), description="The report of P3.")

    @property
    def enabled(self) -> bool:
        """Whether anybody is configured to be notified beside the routes."""
        return bool(self.people or self.escalation)
