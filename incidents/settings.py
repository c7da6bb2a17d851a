"""The section `incidents:`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from incidents.people.settings import OnCallSettings
from model.moment import HOUR, MINUTE, SECOND
from model.settings import Duration, Settings

PositiveDuration = Annotated[Duration, Field(gt=0)]


SETTLE = 3 * MINUTE
"""How long (ms) a sign that joins what was told, and is no more urgent, waits before it is told for itself.

The join is a likelihood, and a fault of its own must not end unheard. Longer waits save little: in the
streams of bench.alerts a fault in our own rules' words was told 1.74 times at 15 minutes, 1.78 at 3.
"""


class FlapSettings(Settings):
    """When an alert counts as flapping, where its rule says nothing of it."""

    changes: int = Field(4, ge=2, description="So many changes between firing and ended ...")
    within: PositiveDuration = Field(30 * MINUTE, description="... within this time are flapping.")
    hold: PositiveDuration = Field(
        15 * MINUTE, description="Its end is told once it has not changed for so long."
    )


class IncidentSettings(Settings):
    """How alerts become incidents."""

    window: PositiveDuration = Field(
        10 * MINUTE, description="How long after its last change an incident takes in further alerts."
    )
    resolve_hold: Duration = Field(
        10 * SECOND, description="How long all alerts must have ended before the incident is over."
    )
    resolve_timeout: PositiveDuration = Field(
        5 * MINUTE, description="An alert that nobody has repeated for so long has ended."
    )
    cause_hold: Duration = Field(
        5 * MINUTE, description="How long after the end of its last cause a symptom stays held back."
    )
    explains: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Names of alerts and of the alerts that each explains, beside those of the rules.",
    )
    flap: FlapSettings = Field(
        FlapSettings(), description="Damping of alerts whose rule does not state its own."
    )
    topology_retention: PositiveDuration = Field(
        HOUR, description="How long an edge of the topology outlives the series that showed it."
    )
    ignored_alerts: tuple[str, ...] = Field(
        ("Watchdog",), description="Names of alerts that are never part of an incident."
    )
    remembered: int = Field(
        500, ge=1, description="How many closed incidents are listed; the store keeps all of them."
    )
    on_call: OnCallSettings = Field(
        OnCallSettings(), description="People, their schedules, and who is notified when nobody answers."
    )
