"""Fleetowl's own metrics: on /metrics, and in the window, so that rules can watch the watcher."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from model.moment import SECOND
from telemetry.window import Window
from wire.render import TextRenderer

log = logging.getLogger("fleetowl.analyzer")

INTERVAL = 5 * SECOND
TARGET = "fleetowl self"

METRICS = (
    Metric("fleetowl_build_info", "gauge", "1; the version is in the label.", ("version",)),
    Metric("fleetowl_process_cpu_seconds_total", "counter", "CPU seconds that the analyzer used."),
    Metric("fleetowl_process_peak_memory_bytes", "gauge", "Largest resident memory of the analyzer."),
    Metric("fleetowl_start_time_seconds", "gauge", "When the analyzer started, in Unix seconds."),
    Metric("fleetowl_store_up", "gauge", "1 while the state database takes writes."),
    Metric("fleetowl_snapshot_up", "gauge", "1 while the window's snapshot can be written."),
    Metric("fleetowl_snapshot_age_seconds", "gauge", "Seconds since the window was last written to disk."),
    Metric("fleetowl_config_last_reload_successful", "gauge", "1 if the last reload was taken over."),
    Metric(
        "fleetowl_requests_refused_total",
        "counter",
        "Writes answered with 429: too many at once.",
    ),
)

Source = Callable[[], Iterable[Sample]]


class SelfTelemetry:
    """Collects the samples of every room. `instance` is the analyzer's own address."""

    def __init__(
        self, window: Window, metrics: Sequence[Metric], sources: Sequence[Source], instance: str
    ) -> None:
        self._window = window
        self._types = {metric.name: metric.type for metric in metrics}
        self._renderer = TextRenderer({metric.name: (metric.type, metric.help) for metric in metrics})
        self._sources = tuple(sources)
        self._own = {"job": "fleetowl", "instance": instance}
        self._ids: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._generation = -1
        self._written_at = 0
        self._live: set[int] = set()

    def _samples(self) -> list[Sample]:
        return [sample for source in self._sources for sample in source()]

    def render(self) -> bytes:
        """The exposition of /metrics."""
        return self._renderer.render(
            [(Labels({NAME: name, **labels}), value) for name, labels, value in self._samples()]
        )

    def step(self, now: int) -> None:
        """Write the samples into the window, every INTERVAL."""
        if now - self._written_at < INTERVAL:
            return
        self._written_at = now
        target = self._window.target(TARGET, INTERVAL)
        samples = self._samples()
        ids = np.array([self._id(sample) for sample in samples], dtype=np.int64)
        values = np.array([sample.value for sample in samples], dtype=np.float64)
        gone = self._live - set(ids.tolist())
        self._window.append(target, now, ids, values)
        if gone:
            self._window.mark_stale(target, now, np.array(sorted(gone), dtype=np.int64))
        self._live = set(ids.tolist())

    def forget_ids(self) -> None:
        """The window renumbered its series."""
        self._ids.clear()
        self._live.clear()

    def _id(self, sample: Sample) -> int:
        key = (sample.name, tuple(sample.labels.items()))
        found = self._ids.get(key)
        if found is None:
            labels = Labels({**self._own, NAME: sample.name, **sample.labels})
            target = self._window.target(TARGET, INTERVAL)
            found = self._window.series(target, labels, self._types.get(sample.name, "unknown"))
            self._ids[key] = found
        return found


def process_samples(version: str, started_at: int) -> list[Sample]:
    """What the operating system says of this process. `started_at` in ms."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        Sample("fleetowl_build_info", {"version": version}, 1),
        Sample("fleetowl_process_cpu_seconds_total", {}, usage.ru_utime + usage.ru_stime),
        Sample("fleetowl_process_peak_memory_bytes", {}, usage.ru_maxrss * 1024),
        Sample("fleetowl_start_time_seconds", {}, started_at / SECOND),
    ]
