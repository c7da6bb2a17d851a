"""Settings of a detector of another library."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from detectors.entity.kinds import KINDS, Kind
from model.moment import MINUTE
from model.settings import Duration, Settings
from telemetry.matching import InvalidMatcher, expression

BUILT_IN = ("level", "cusum", "peer", "trend", "state", "change")
"""Names that Fleetowl's own detectors have."""
_OWN = b"fleetowl_"


KIND: dict[str, Kind] = {kind.name: kind for kind in KINDS}


class CustomSettings(Settings):
    """A detector of river or pyod, run for each series of some metrics, or each entity of a kind."""

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
    entity: Literal["gpu", "engine", "node"] | None = Field(
        default=None,
        description="Instead of `metrics`: it judges all GPUs, engines or nodes as a whole, by rows of the "
        "features in docs/entities.md.",
    )
    lags: int = Field(
        default=4,
        ge=1,
        le=64,
        description="So many last values of a series are the features of a sample. Not with `entity`.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        validate_default=True,
        description="Its arguments, as the library names them. One that is itself an object of the library "
        "is written `{use: ..., arguments: {...}}`.",
    )
    metrics: str = Field(
        default="",
        validate_default=True,
        description="Regular expression (RE2) for the names of the metrics whose series it watches; it is "
        "anchored. Either this or `entity` is needed.",
    )
    budget: float = Field(
        default=0.05,
        gt=0,
        le=24,
        description="False alarms that are accepted per series or entity and day; a score of 1 is as rare as "
        "that. A detector of river.drift has its own: it scores 2 where it finds a drift, else 0.",
    )
    warm_up: int = Field(
        default=120,
        ge=40,
        le=10_000,
        description="Samples of a series, or rows of an entity, before its first score: half of them tell "
        "its range, half how high the detector's own scores usually are.",
    )
    max_series: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="So many series or entities are watched, those that came first; the others are counted.",
    )
    sample: int = Field(
        default=1024,
        ge=32,
        le=65_536,
        description="pyod: rows of recent history, of a metric or of all entities, that it fits on.",
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
    def _is_expression(cls, metrics: str, info: ValidationInfo) -> str:
        entity = info.data.get("entity")
        if bool(metrics) == bool(entity):
            if not metrics and "entity" not in info.data:
                return metrics  # there is an error about that one already
            raise ValueError(
                f"{metrics!r} and entity: {entity} cannot both be watched: leave one of them out, or make "
                "two detectors of it"
                if metrics
                else "name the metrics whose series it watches, or an entity: gpu, engine or node"
            )
        if entity:
            return metrics
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

    @field_validator("entity")
    @classmethod
    def _takes_rows(cls, entity: str | None, info: ValidationInfo) -> str | None:
        from detectors.adapters.library import Way, way_of

        use = info.data.get("use")
        if entity and use and way_of(use) in (Way.DRIFT, Way.OF_VALUE):
            raise ValueError(
                f"{use} looks at one value after the other, not at rows of an entity: give it metrics "
                "instead, or use a detector of rows, like river.anomaly.HalfSpaceTrees or one of pyod.models"
            )
        return entity

    @field_validator("lags")
    @classmethod
    def _of_series(cls, lags: int, info: ValidationInfo) -> int:
        if info.data.get("entity"):
            raise ValueError(
                f"a row of the entity {info.data['entity']} has the features of docs/entities.md, and no "
                "lags: leave it out"
            )
        return lags

    @field_validator("arguments")
    @classmethod
    def _fit(cls, arguments: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from detectors.adapters.trial import try_out

        if {"use", "entity", "lags"} <= info.data.keys():  # else there is an error about that one already
            try_out(info.data["use"], arguments, _width(info.data["entity"], info.data["lags"]))
        return arguments

    @property
    def width(self) -> int:
        """How many features a row has."""
        return _width(self.entity, self.lags)


def _width(entity: str | None, lags: int) -> int:
    return len(KIND[entity].features) if entity else lags
