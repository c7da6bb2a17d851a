"""Feeds the topology from the series that are alive now, now and then."""

from __future__ import annotations

import numpy as np

from incidents.topology_feed import TopologyFeed
from model.labels import NAME
from model.matcher import Matcher, Op
from model.moment import MINUTE, SECOND
from telemetry.window import Window

INTERVAL = 10 * SECOND
LOOKBACK = 5 * MINUTE

SOURCES = (
    "kube_pod_info",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_UTIL",
    "vllm:num_requests_running",
    "sglang:num_running_reqs",
    "trtllm_num_requests_running",
    "tgi_batch_current_size",
)
"""One metric of each source says what stands on what; the other series of the source repeat it."""


class TopologyWatch:
    """Observes the label sets of SOURCES every INTERVAL."""

    def __init__(self, window: Window, feed: TopologyFeed) -> None:
        self._window = window
        self._feed = feed
        self._looked_at = 0

    def step(self, now: int) -> None:
        """Look if it is time to."""
        if 0 <= now - self._looked_at < INTERVAL:
            return
        self._looked_at = now
        for name in SOURCES:
            for selection in self._window.select([Matcher(NAME, Op.EQUAL, name)]):
                _, _, present = selection.instant(now, LOOKBACK)
                alive = np.flatnonzero(present).tolist()
                self._feed.observe_all((selection.labels[row] for row in alive), now)
        self._feed.forget(now)
