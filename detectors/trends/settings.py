"""Settings of the trends."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model.labels import METRIC_NAME
from model.settings import Settings


def _judged(metric: str) -> str:
    if not METRIC_NAME.fullmatch(metric):
        raise ValueError(f"{metric!r} is not the name of a metric: write for example node_load1")
    if metric.startswith("fleetowl_"):
        raise ValueError(f"{metric} is Fleetowl's own, and those have no trend: name a metric of the fleet")
    return metric


MetricName = Annotated[str, AfterValidator(_judged)]
"""A metric that may have a trend."""


class TrendLimit(Settings):
    """Where the trend of a metric would end."""

    limit: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="The value at which the trend has arrived, in the metric's unit.",
    )
    multiple: float | None = Field(
        default=None,
        gt=1,
        allow_inf_nan=False,
        description="Instead of `limit`: so many times the early level of the series.",
    )
    total_of: list[MetricName] = Field(
        default_factory=list,
        max_length=2,
        description="Instead of `limit`: the sum of these metrics with the same labels, like used and free.",
    )
    rising: bool = Field(default=True, description="Whether the limit is above; false for what runs out.")
    kind: Literal["leak", "exhaustion", "decay"] = Field(
        default="exhaustion", description="Value of the label `trend`."
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        ends = {"limit": self.limit, "multiple": self.multiple, "total_of": self.total_of or None}
        given = [name for name, end in ends.items() if end is not None]
        if len(given) != 1:
            got = " and ".join(given) if given else "none of them"
            raise ValueError(f"needs exactly one of limit, multiple and total_of, got {got}")
        return self


class TrendSettings(Settings):
    """The trend detector."""

    limits: dict[MetricName, TrendLimit] = Field(
        default_factory=dict,
        description="By metric, beside or instead of those that are known (detectors/trends/limits.py).",
    )
