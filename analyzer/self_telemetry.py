"""Fleetowl's own metrics: on /metrics, and in the window, so that rules can watch the watcher."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from model.moment import SECOND
from telemetry.window import LimitExceeded, Window
from wire.render import TextRenderer

log = logging.getLogger("fleetowl.analyzer")

INTERVAL = 5 * SECOND
TARGET = "fleetowl/self"
WRITTEN_ELSEWHERE = frozenset({"fleetowl_target_kind"})
"""The inventory writes it at once; here it would come late."""

METRICS = (
    Metric("fleetowl_build_info", "gauge", "1; the version is in the label.", ("version",)),
    Metric("fleetowl_process_cpu_seconds_total", "counter", "CPU seconds that the analyzer used."),
    Metric("fleetowl_process_peak_memory_bytes", "gauge", "Largest resident memory of the analyzer."),
    Metric("fleetowl_start_time_seconds", "gauge", "When the analyzer started, in Unix seconds."),
    Metric("fleetowl_config_last_reload_successful", "gauge", "1 if the last reload was taken over."),
    Metric("fleetowl_tick_failures_total", "counter", "Ticks that ended in an error outside of their steps."),
    Metric("fleetowl_requests_refused_total", "counter", "Writes answered with 429: too many at once."),
)


class SelfTelemetry:
    """Collects samples from `collect`. `instance` gives the analyzer's own address once it is known."""

    def __init__(
        self,
        window: Window,
        metrics: Sequence[Metric],
        collect: Callable[[], Iterable[Sample]],
        instance: Callable[[], str],
    ) -> None:
        self._window = window
        self._types = {metric.name: metric.type for metric in metrics}
        self._renderer = TextRenderer(metrics)
        self._collect = collect
        self._instance = instance
        self._ids: dict[Labels, int] = {}
        self._numbering = window.numbering
        self._live: set[int] = set()
        self._written_at = 0

    def render(self) -> bytes:
        """The exposition of /metrics."""
        return self._renderer.render_own(self._collect())

    def step(self, now: int) -> None:
        """Write the samples into the window, every INTERVAL."""
        if 0 <= now - self._written_at < INTERVAL:
            return
        self._written_at = now
        if self._window.numbering != self._numbering:
            self._numbering = self._window.numbering
            self._ids.clear()
            self._live.clear()
        try:
            self._write(now, [one for one in self._collect() if one.name not in WRITTEN_ELSEWHERE])
        except LimitExceeded as error:
            log.warning("own metrics are not in the window: %s", error)

    def _write(self, now: int, samples: list[Sample]) -> None:
        target = self._window.target(TARGET, INTERVAL)
        ids = np.array([self._id(sample) for sample in samples], dtype=np.int64)
        values = np.array([sample.value for sample in samples], dtype=np.float64)
        result = self._window.append(target, now, ids, values)
        if "unknown_series" in result.refused:  # dropped while silent: made anew the next time
            self._ids.clear()
        gone = self._live - set(ids.tolist())
        if gone:
            self._window.mark_stale(target, now, np.array(sorted(gone), dtype=np.int64))
        self._live = set(ids.tolist())

    def _id(self, sample: Sample) -> int:
        own = {"job": "fleetowl", "instance": self._instance()}
        labels = Labels({**own, **sample.labels, NAME: sample.name})
        found = self._ids.get(labels)
        if found is None:
            target = self._window.target(TARGET, INTERVAL)
            found = self._window.series(target, labels, self._types.get(sample.name, "unknown"))
            self._ids[labels] = found
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
