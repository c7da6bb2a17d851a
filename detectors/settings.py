"""Settings of the detectors."""

from __future__ import annotations

from pydantic import Field

from model.moment import SECOND
from model.settings import Duration, Settings


class LevelSettings(Settings):
    """The level detector: a moving level and a band around it."""

    level_weight: float = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="Weight of a new sample in the level; 0.02 forgets with a time constant of 50 samples.",
    )
    scale_weight: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="Weight of a new residual in the scale (mean absolute residual).",
    )
    band: float = Field(
        default=6.0,
        gt=0,
        description="Half width of the expected band in scales; 6 is 4.8 standard deviations of noise.",
    )
    clip: float = Field(
        default=3.0, gt=1, description="A residual moves the scale as if it were at most this many scales."
    )
    floor: float = Field(
        default=0.01, gt=0, description="The scale is taken to be at least this part of the level."
    )
    warm_up: int = Field(default=60, ge=2, description="Samples of a series before its first score.")
    max_score: float = Field(
        default=100.0, gt=1, description="Scores end here: past it, more says nothing more."
    )


class DetectorSettings(Settings):
    """The section `detectors`."""

    level: LevelSettings = Field(default=LevelSettings(), description="The level detector.")
    moment_interval: Duration = Field(
        5 * SECOND, ge=SECOND, description="Time between two moments at which series are compared."
    )
    moment_grace: Duration = Field(
        2 * SECOND, ge=0, description="How long a moment waits for samples that are on their way."
    )
    enabled: bool = Field(default=True, description="Whether series are scored at all.")
