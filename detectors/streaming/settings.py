"""Settings of the streaming detector."""

from __future__ import annotations

from pydantic import Field

from model.settings import Duration, Settings


class StreamingSettings(Settings):
    """The streaming detector: few keys, for everything else is learned from the series itself."""

    budget: float = Field(
        default=0.05,
        gt=0,
        le=24,
        description="False alarms that are accepted per series and day; a score of 1 is as rare as that.",
    )
    warm_up: int = Field(default=60, ge=10, description="Samples of a series before its first score.")
    hold: Duration = Field(
        default=900_000,
        gt=0,
        description="An excursion keeps its score above 1 for so long at most; then it is the new normal.",
    )
    weekly: int = Field(
        default=20_000,
        ge=0,
        description="At most so many series keep a rhythm of the week, in 0.7 KiB each; 0: none does.",
    )
    floor: float = Field(
        default=0.002, gt=0, lt=1, description="The scale is taken to be at least this part of the level."
    )
    max_score: float = Field(
        default=100.0, gt=1, description="Scores end here: past it, more says nothing more."
    )
