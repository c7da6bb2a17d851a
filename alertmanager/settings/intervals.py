"""Named time intervals, in which routes are muted or active."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from model.settings import Settings


class TimeIntervalSettings(Settings):
    """A name for a set of time intervals."""

    name: str = Field(min_length=1, description="The name that routes use.")
    time_intervals: tuple[dict[str, Any], ...] = Field((), description="The intervals; any of them counts.")
