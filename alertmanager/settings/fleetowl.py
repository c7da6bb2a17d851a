"""What Fleetowl adds to Alertmanager's configuration: the part `fleetowl:`."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from alertmanager.settings.common import PositiveDuration
from model.moment import DAY, HOUR, MINUTE, SECOND
from model.settings import Settings, Size


class RetrySettings(Settings):
    """What happens when a receiver does not take a notification."""

    min_backoff: PositiveDuration = Field(SECOND, description="The wait after the first failure; it doubles.")
    max_backoff: PositiveDuration = Field(MINUTE, description="The longest wait between two attempts.")
    give_up_after: PositiveDuration = Field(
        DAY, description="How long one notification is tried before it is given up (loudly)."
    )
    refused_interval: PositiveDuration = Field(
        10 * MINUTE, description="The wait after a refusal that will not change by itself (4xx but 429)."
    )
    refused_attempts: PositiveInt = Field(5, description="How often a refused notification is tried.")


class RateSettings(Settings):
    """How many messages a receiver gets."""

    messages: PositiveInt = Field(30, description="At most so many messages.")
    per: PositiveDuration = Field(MINUTE, description="In so long.")


class FleetowlSettings(Settings):
    """What Fleetowl adds to Alertmanager's behaviour."""

    urgent_first: bool = Field(
        True,
        description="The first P0 of a group leaves at once, and in front of everything else; right behind "
        "another P0 to the same receiver it waits group_wait, for it may be the same disaster.",
    )
    resolve_wait: PositiveDuration | None = Field(
        15 * SECOND,
        description="A group of which all alerts have ended says so after this, not at group_interval.",
    )
    topology: bool = Field(
        True, description="Hold back symptoms while a cause that explains them is active beneath them."
    )
    flap: bool = Field(True, description="Damp alerts that come and go.")
    max_payload: Size = Field(
        64 * 1024,
        ge=0,
        description="Largest message body; what does not fit is counted and linked. 0 is no limit.",
    )
    rate: RateSettings = Field(
        RateSettings(),
        description="The rate of receivers that people read: all but those of webhooks, logs and consoles.",
    )
    rates: dict[str, RateSettings] = Field(default={}, description="The rates of receivers by their names.")
    retry: RetrySettings = Field(RetrySettings(), description="Failing receivers.")
    log_retention: PositiveDuration = Field(
        120 * HOUR, description="How long it is remembered what was notified."
    )
    max_alerts: int = Field(
        200_000,
        ge=0,
        description="So many alerts sent by API may fire; then new ones but P0 are refused. 0: no limit.",
    )
    max_alerts_per_request: PositiveInt = Field(100_000, description="Alerts in one POST; more are refused.")
    max_annotation: Size = Field(
        16 * 1024, gt=0, description="Characters of one annotation sent by API; a longer one is cut."
    )
    max_silences: int = Field(
        10_000, ge=0, description="Silences that are kept, ended ones too; 0 is no limit."
    )
    max_silence_size: Size = Field(64 * 1024, ge=0, description="Bytes of one silence; 0 is no limit.")
