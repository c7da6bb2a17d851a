"""Functions of dates, in UTC: what a time in Unix seconds is on the calendar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rules.promql.frame import Floats

Seconds = NDArray[np.datetime64]


def _part(unit: str, within: str) -> Callable[[Seconds], Floats]:
    """How many `unit`s have passed since the begin of the `within`."""
    return lambda times: _count(times.astype(f"M8[{unit}]") - times.astype(f"M8[{within}]"), unit)


def _count(difference: NDArray[np.timedelta64], unit: str) -> Floats:
    counts: Floats = difference.astype(f"m8[{unit}]").astype(np.float64)
    return counts


def _days_in_month(times: Seconds) -> Floats:
    months = times.astype("M8[M]")
    return _count((months + 1).astype("M8[D]") - months.astype("M8[D]"), "D")


def _day_of_week(times: Seconds) -> Floats:
    """Sunday is 0; the epoch was a Thursday."""
    return ((times.astype("M8[D]").astype(np.int64) + 4) % 7).astype(np.float64)


DATES: dict[str, Callable[[Seconds], Floats]] = {
    "minute": _part("m", "h"),
    "hour": _part("h", "D"),
    "day_of_week": _day_of_week,
    "day_of_month": lambda times: _part("D", "M")(times) + 1,
    "day_of_year": lambda times: _part("D", "Y")(times) + 1,
    "days_in_month": _days_in_month,
    "month": lambda times: (times.astype("M8[M]").astype(np.int64) % 12 + 1).astype(np.float64),
    "year": lambda times: (times.astype("M8[Y]").astype(np.int64) + 1970).astype(np.float64),
}
"""Each takes times to numbers."""


def on_calendar(name: str, seconds: Floats) -> Floats:
    """The function `name` of times in Unix seconds; NaN where there is no such date."""
    known = np.isfinite(seconds) & (np.abs(seconds) < 1e11)
    times = np.where(known, np.trunc(seconds), 0).astype(np.int64).astype("M8[s]")
    return np.where(known, DATES[name](times), np.nan)
