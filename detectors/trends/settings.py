"""Settings of the trends."""

from __future__ import annotations

from pydantic import Field

from model.settings import Settings


class TrendLimit(Settings):
    """Where the trend of a metric would end."""

    limit: float | None = Field(
        default=None, description="The value at which the trend has arrived, in the metric's unit."
    )
    multiple: float | None = Field(
        default=None, gt=1, description="Instead of `limit`: so many times the early level of the series."
    )
    total_of: list[str] = Field(
        default_factory=list,
        description="Instead of `limit`: the sum of these metrics with the same labels, like used and free.",
    )
    rising: bool = Field(default=True, description="Whether the limit is above; false for what runs out.")
    kind: str = Field(
        default="exhaustion", description="Value of the label `trend`: leak, exhaustion or decay."
    )


class TrendSettings(Settings):
    """The trend detector."""

    limits: dict[str, TrendLimit] = Field(
        default_factory=dict,
        description="By metric, beside or instead of those that are known (detectors/trends/limits.py).",
    )
