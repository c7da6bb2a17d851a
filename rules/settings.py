"""Settings of the rules."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model.moment import MINUTE, SECOND
from model.settings import Duration, Settings


class RuleSettings(Settings):
    """The section `rules`: which rule files run, and how often."""

    shipped: bool = Field(default=True, description="Whether the shipped rule packs run.")
    files: tuple[Path, ...] = Field(
        default=(), description="Rule files of your own, or folders of `*.yml` and `*.yaml` files."
    )
    evaluation_interval: Duration = Field(
        default=5 * SECOND, ge=SECOND, description="How often a group without an `interval` is evaluated."
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
    record_alerts: bool = Field(
        default=True, description="Whether `ALERTS` and `ALERTS_FOR_STATE` are written as series."
    )
