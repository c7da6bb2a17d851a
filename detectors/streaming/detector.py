"""The streaming detectors: `level`, with the expected band, and `cusum`, for changes that last.

Both hand out what one pass over the samples has found; see recipe for what that computes and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from detectors.contract import (
    EXPECTED_HIGH,
    EXPECTED_LOW,
    SCORE,
    Columns,
    Dependent,
    Results,
    State,
    StreamDetector,
)
from detectors.streaming.core import StreamingCore
from detectors.streaming.settings import StreamingSettings
from telemetry.window import IdRemap


class LevelDetector(StreamDetector):
    """How unlikely is a value, and how unlikely are the last few together, by what the series did before.

    The score is above 1 as often as the budget of false alarms says, once the series is warm; the band is
    where a single value has no score above 1.

    When it fails: a slow drift is learned as normal, and so is a shift that lasts; the tail of the recipe is
    exponential, so noise with heavier tails is over the budget until the tail has been learned; a rhythm that
    is neither of the day, nor of the week, nor slow against 50 samples widens the band. Days and weeks are
    those of UTC: after a change of the clocks the rhythm is off by an hour until it has been learned anew,
    which takes the day ten days and the week some weeks. A holiday is an odd day. Where samples are less than
    a minute apart the level follows faster than the hours turn, and no season is of use: a morning that does
    not come is not seen.

    >>> import numpy as np
    >>> detector = LevelDetector()
    >>> noise = 50 + np.random.default_rng(1).normal(size=200)
    >>> for place, value in enumerate([*noise, 90.0]):
    ...     results = detector.step(Columns(np.array([place * 5_000]), np.array([0]), np.array([value])))
    >>> bool(results.values[0, 0] > 1), bool(results.values[0, 2] < 90.0)
    (True, True)
    """

    name = "level"
    version = 4
    fails = "A slow drift is learned as normal, and a shift that lasts stops being anomalous."
    results = (SCORE, EXPECTED_LOW, EXPECTED_HIGH)

    def __init__(self, settings: StreamingSettings | None = None, core: StreamingCore | None = None) -> None:
        self._core = core or StreamingCore(settings)

    def warm(self) -> None:
        """Compile the pass, or load what was compiled before."""
        self._core.warm()

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self._core.reserve(size)

    def step(self, columns: Columns) -> Results:
        """Score the samples, then learn from them."""
        return Results(columns.times, columns.ids, self._core.judge(columns).level)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        self._core.remap(remap)

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps, of the series below id `size`."""
        return self._core.snapshot(size)

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        self._core.restore(state, size)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self._core.bytes


class CusumDetector(Dependent, StreamDetector):
    """Two-sided CUSUM of the residuals: has the level moved, even by little, for some time.

    Its state is that of the level detector beside it: what that one keeps and forgets holds for both.

    When it fails: a shift smaller than half a scale is never seen; what is learned as the level before the
    sum is full is missed; a series whose neighbouring values resemble each other adds up without a change.
    """

    name = "cusum"
    version = 4
    fails = (
        "A drift that the level follows is not seen, and neighbouring values that resemble each other add up."
    )
    results = (SCORE,)

    def __init__(self, core: StreamingCore) -> None:
        """`core` is that of a LevelDetector which is told of the same columns, renumberings and snapshots."""
        self._core = core

    def reserve(self, size: int) -> None:
        """The level detector does."""

    def step(self, columns: Columns) -> Results:
        """What the pass over these samples has found of changes."""
        return Results(columns.times, columns.ids, self._core.judge(columns).change)


def streaming_detectors(settings: StreamingSettings) -> list[StreamDetector]:
    """Both, on one state."""
    core = StreamingCore(settings)
    return [LevelDetector(settings, core), CusumDetector(core)]
