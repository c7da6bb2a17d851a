"""What the pass over all series says of rows of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Columns
from detectors.streaming.core import StreamingCore
from telemetry.bits import Floats, Ints


def judged(core: StreamingCore, rows: Floats, ids: Ints, times: Ints) -> NDArray[np.float64]:
    """Score, low, high and change, `[samples, 4, series]`, of rows `[samples, series]` at `times` in ms."""
    found = []
    for time, row in zip(times.tolist(), rows, strict=True):
        said = core.judge(Columns(np.full(len(ids), time), ids, row))
        found.append(np.hstack([said.level, said.change]).T)
    return np.array(found)
