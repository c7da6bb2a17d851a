"""Settings of a detector of another library."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from model.moment import MINUTE
from model.settings import Duration, Settings
from telemetry.matching import InvalidMatcher, expression

BUILT_IN = ("level", "cusum", "peer", "trend", "state", "change")
"""Names that Fleetowl's own detectors have."""
_OWN = b"fleetowl_"


class CustomSettings(Settings):
    """A detector of river or pyod, run for each series of some metrics."""

    name: str = Field(
        min_length=1,
        pattern=r"[a-z][a-z0-9_]*",
        max_length=64,
        description="The label `detector` of its scores; unique.",
    )
    use: str = Field(
        description="Class of the detector: one of `river.anomaly` or `river.drift`, or of `pyod.models`, "
        "for example `river.anomaly.HalfSpaceTrees` or `pyod.models.ecod.ECOD`."
    )
    lags: int = Field(
        default=4, ge=1, le=64, description="So many last values of a series are the features of a sample."
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        validate_default=True,
        description="Its arguments, as the library names them. One that is itself an object of the library "
        "is written `{use: ..., arguments: {...}}`.",
    )
    metrics: str = Field(
        min_length=1,
        description="Regular expression (RE2) for the names of the metrics it watches; it is anchored.",
    )
    budget: float = Field(
        default=0.05,
        gt=0,
        le=24,
        description="False alarms that are accepted per series and day; a score of 1 is as rare as that. A "
        "detector of river.drift has its own: it scores 2 where it finds a drift, else 0.",
    )
    warm_up: int = Field(
        default=120,
        ge=40,
        le=10_000,
        description="Samples of a series before its first score: half of them tell its range, half how high "
        "the detector's own scores usually are.",
    )
    max_series: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="So many series are watched, those that came first; the others are counted.",
    )
    sample: int = Field(
        default=1024,
        ge=32,
        le=65_536,
        description="pyod: rows of recent history of a metric that it fits on.",
    )
    refit_interval: Duration = Field(10 * MINUTE, ge=MINUTE, description="pyod: time between two fits.")
    max_score: float = Field(default=100.0, gt=1, description="Scores end here.")
    seed: int = Field(default=0, ge=0, description="Where the detector draws at random, and what it fits on.")

    @field_validator("name")
    @classmethod
    def _free_name(cls, name: str) -> str:
        if name in BUILT_IN:
            raise ValueError(f"{name} is a detector of Fleetowl's own: give this one another name")
        return name

    @field_validator("metrics")
    @classmethod
    def _is_expression(cls, metrics: str) -> str:
        try:
            first, last = expression(f"^(?:{metrics})$").possiblematchrange(16)
        except InvalidMatcher as error:
            raise ValueError(
                f"{metrics!r} is not a regular expression (RE2): {error}; write for example "
                "node_load1|node_load5"
            ) from error
        if first.startswith(_OWN) and last.startswith(_OWN):
            raise ValueError(
                f"{metrics!r} names only series of Fleetowl's own, which no detector sees: name metrics of "
                "the fleet"
            )
        return metrics

    @field_validator("use")
    @classmethod
    def _is_detector(cls, use: str) -> str:
        from detectors.adapters.library import way_of

        way_of(use)
        return use

    @field_validator("arguments")
    @classmethod
    def _fit(cls, arguments: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from detectors.adapters.trial import try_out

        if {"use", "lags"} <= info.data.keys():  # else there is an error about that one already
            try_out(info.data["use"], arguments, info.data["lags"])
        return arguments
