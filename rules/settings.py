"""Settings of the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from model.moment import MINUTE, SECOND
from model.settings import Duration, Settings
from rules.promql.context import Options

MOST_SUBQUERY_STEPS = 11_000
"""As many as Prometheus grants a range query. Each is an evaluation of its own, and the tick waits for it."""


class RuleSettings(Settings):
    """The section `rules`: which rule files run, and how often."""

    shipped: bool = Field(default=True, description="Whether the shipped rule packs run.")
    profile: Literal["small", "medium", "large"] = Field(
        default="small",
        description="Which service objectives the shipped packs judge by: small (up to 64 GPUs), medium (up "
        "to 400) or large; see docs/thresholds.md.",
    )
    files: tuple[Path, ...] = Field(
        default=(), description="Rule files of your own, or folders of `*.yml` and `*.yaml` files."
    )
    evaluation_interval: Duration = Field(
        default=5 * SECOND, ge=SECOND, description="How often a group without an `interval` is evaluated."
    )
    budget: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the time between two ticks that rules may take; then what is less urgent "
        "than P0 waits for the next tick, P3 first.",
    )
    lookback: Duration = Field(
        default=5 * MINUTE,
        ge=SECOND,
        description="How old the newest sample of a series may be for an instant selector to see it.",
    )
    default_scrape_interval: Duration = Field(
        default=15 * SECOND,
        ge=SECOND,
        description="What `$scrapes(n)` counts in for series whose interval is neither stated nor visible.",
    )
    max_series: int = Field(
        default=1_000_000,
        ge=0,
        description="How many series one selector may touch; more are an error of the rule. 0: no limit.",
    )
    record_alerts: bool = Field(
        default=True, description="Whether `ALERTS` and `ALERTS_FOR_STATE` are written as series."
    )

    def options(self) -> Options:
        """How expressions are evaluated under these settings."""
        return Options(
            self.lookback,
            self.default_scrape_interval,
            self.evaluation_interval,
            self.max_series,
            MOST_SUBQUERY_STEPS,
        )
