"""Keeps the window and the detectors' state on disk, so that a restart continues instead of starting over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from analyzer.pipeline import Pipeline
from model.metric import Metric, Sample
from model.moment import SECOND
from telemetry import snapshot

log = logging.getLogger("fleetowl.analyzer")

METRICS = (
    Metric("fleetowl_snapshot_up", "gauge", "1 while the snapshot of the window can be written."),
    Metric("fleetowl_snapshot_age_seconds", "gauge", "Seconds since the window was last written to disk."),
)
SNAPSHOT = "window.snapshot"
SCORES = "scores"


class Snapshots:
    """Writes one file into `directory` every `interval` ms. `now` reads the clock (ms)."""

    def __init__(self, pipeline: Pipeline, directory: Path, interval: int, now: Callable[[], int]) -> None:
        self._pipeline = pipeline
        self._path = directory / SNAPSHOT
        self._interval = interval
        self._now = now
        self._written_at = now()
        self._writing: asyncio.Task[None] | None = None
        self.trouble = ""

    async def run(self) -> None:
        """Write at the interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval / SECOND)
            await self.write()

    async def write(self) -> None:
        """Copy window and scores as they are now, write them beside the loop; a full disk is only said."""
        if self._writing is not None:
            await asyncio.wait([self._writing])  # one file, one writer: also when `run` was cancelled
        self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)

    async def _write(self) -> None:
        now = self._now()
        frozen = snapshot.freeze(self._pipeline.window, now)
        frozen.add(SCORES, self._pipeline.scoring.snapshot())
        try:
            await asyncio.to_thread(snapshot.write, frozen, self._path)
        except OSError as error:
            message = f"the window cannot be written to {self._path}: {error}"
            if message != self.trouble:
                log.error("%s; a restart would find the one before", message)
            self.trouble = message
            return
        self.trouble, self._written_at = "", now

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        yield Sample("fleetowl_snapshot_up", {}, float(not self.trouble))
        age = (self._now() - self._written_at) / SECOND
        yield Sample("fleetowl_snapshot_age_seconds", {}, age)
