"""Forward progress: for how long an engine that has work has not moved.

A health endpoint answers 200 while a worker hangs, and the sum over the engines of an instance need not drop
when one of them does, so each engine is watched by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.engines.digest import Digest, Places, Unit
from model.labels import Labels
from model.metric import Metric, Sample

AGE = "fleetowl_engine_progress_age_seconds"
METRICS = (
    Metric(
        AGE,
        "gauge",
        "Seconds since an engine with requests moved any of its counters of progress (tokens, iterations, "
        "finished requests); 0 while it moves, is idle or sleeps. Engines other than vLLM may count a "
        "request only when it ends.",
        ("job", "instance", "engine", "model_name"),
    ),
)


@dataclass(slots=True)
class _Watch:
    labels: Labels
    counters: list[float]
    moved_at: float


class Progress:
    """Of one instance. Times are seconds of a clock that never runs backwards."""

    def __init__(self) -> None:
        self._watched: dict[Unit, _Watch] = {}

    def step(self, now: float, digest: Digest, values: Sequence[float]) -> list[Sample]:
        """The age of each of its engines, by the values of a page whose scrape came at `now`."""
        self._watched = {unit: watch for unit, watch in self._watched.items() if unit in digest.units}
        return [self._age(now, unit, places, values) for unit, places in digest.units.items()]

    def _age(self, now: float, unit: Unit, places: Places, values: Sequence[float]) -> Sample:
        counters = [values[row] for row in places.progress]
        watch = self._watched.get(unit)
        if watch is None:
            watch = self._watched[unit] = _Watch(Labels(unit._asdict()), counters, now)
        # A restart sets counters back: that is a change too.
        elif counters != watch.counters or not _has_work(places, values):
            watch.counters, watch.moved_at = counters, now
        return Sample(AGE, watch.labels, now - watch.moved_at)


def _has_work(places: Places, values: Sequence[float]) -> bool:
    asleep = bool(places.awake) and not any(values[row] for row in places.awake)
    return not asleep and any(values[row] > 0 for row in places.work)
