"""Settings of the entity detectors."""

from __future__ import annotations

from pydantic import Field

from model.moment import DAY, HOUR, MINUTE
from model.settings import Duration, Settings


class EntitySettings(Settings):
    """The entity detectors `state` and `change`; lengths of time are turned into rows by the interval."""

    budget: float = Field(
        default=0.02,
        gt=0,
        le=24,
        description="False alarms that are accepted per entity and day; a score of 1 is as rare as that.",
    )
    warm_up: Duration = Field(
        default=HOUR,
        ge=MINUTE,
        description="Time of an entity before its first score; at least 60 rows of it, whatever that takes.",
    )
    memory: Duration = Field(
        default=60 * DAY, ge=HOUR, description="How long normal behaviour is remembered (time constant)."
    )
    recent: Duration = Field(
        default=DAY, ge=MINUTE, description="What `change` takes as usual: the last so long (time constant)."
    )
    patience: Duration = Field(
        default=14 * DAY,
        ge=MINUTE,
        description="An entity that has been anomalous for so long is learned from again: a new normal.",
    )
    refit: Duration = Field(
        default=DAY, ge=MINUTE, description="Between two fits of the models; more often after the start."
    )
    sample: int = Field(
        default=4096, ge=256, le=65536, description="Rows of all entities that are kept to fit on."
    )
    trees: int = Field(default=64, ge=1, le=512, description="Trees of the isolation forest.")
    max_score: float = Field(
        default=100.0, gt=1, description="Scores end here: past it, more says nothing more."
    )
