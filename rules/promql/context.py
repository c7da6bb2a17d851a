"""What an evaluation knows: the window, the moment, and how far to look back."""

from __future__ import annotations

from dataclasses import dataclass

from model.moment import MINUTE, SECOND
from telemetry.window import Window

LOOKBACK = 5 * MINUTE
DEFAULT_INTERVAL = 15 * SECOND


@dataclass(frozen=True, slots=True)
class Context:
    """`at` in ms; `lookback` is how old (ms) the sample of an instant selector may be.

    `default_interval` (ms) stands in for the scrape interval of a series that is not known to have one.
    """

    window: Window
    at: int
    lookback: int = LOOKBACK
    default_interval: int = DEFAULT_INTERVAL
