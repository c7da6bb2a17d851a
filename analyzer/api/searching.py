"""Which series several selectors find together, with rests between the searches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzer.api.turns import Turn
from model.matcher import Matcher
from telemetry.bits import Ints
from telemetry.window import Window


async def search_all(window: Window, selectors: Sequence[tuple[Matcher, ...]], turn: Turn) -> Ints:
    """The ids of the living series that a selector finds, ascending; valid until the next rest.

    Raises ApiError when the time of the request is up.
    """
    while True:
        numbering = window.numbering
        parts = [np.empty(0, np.int64)]
        for matchers in selectors:
            await turn.rest()
            parts.append(window.search(matchers)[0])
        if window.numbering == numbering:  # else a compaction came in between, and ids mean other series
            return np.unique(np.concatenate(parts))
