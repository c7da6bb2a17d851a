"""The readings of all sources as one page of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import is_

from agent.reading import Reading
from model.labels import Labels
from model.metric import Metric
from wire.render import Families, PageRenderer

_SPARE = 2000
"""So many families that nobody shows any more may stay declared."""

_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class Exposition:
    """Renders readings as text, declaring each family the first time that it is met."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics
        self._met: list[object] = []
        self._page = b""
        self._begin()

    def _begin(self) -> None:
        """Know no family yet."""
        self._families = Families()
        self._renderer = PageRenderer(self._families)
        self._declared: set[str] = set()
        self._readings: list[Reading] = []

    def render(self, readings: Sequence[Reading]) -> bytes:
        """The series of all readings, grouped by family; the page before if the readings are those before."""
        self._declare_all(readings)
        if not _same(readings, self._readings):
            self._page = self._renderer.render([(_exported(reading), reading.values) for reading in readings])
            self._readings = list(readings)
        return self._page

    def _declare_all(self, readings: Sequence[Reading]) -> None:
        """While the series are those of the page before there is nothing to declare that is shown."""
        met: list[object] = [part for reading in readings for part in (reading.series, reading.types)]
        if _same(met, self._met):
            return
        if len(self._declared) > 2 * sum(len(reading.types) for reading in readings) + _SPARE:
            self._begin()  # the names of pages that change all the time would never end
        self._met = met
        for metric in self._metrics():
            self._declare(metric)
        for reading in readings:
            for name, kind in reading.types.items():
                if name not in self._declared and not _is_part(name, kind, reading):
                    self._declare(Metric(name, kind, ""))

    def _declare(self, metric: Metric) -> None:
        if metric.name not in self._declared:
            self._declared.add(metric.name)
            self._families.declare(metric)
            self._readings = []


def _same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether these are the same objects."""
    return len(some) == len(others) and all(map(is_, some, others))


def _is_part(name: str, kind: str, reading: Reading) -> bool:
    """Whether this is a suffixed series of a histogram or summary, which its family declares."""
    return any(
        name.endswith(suffix) and reading.types.get(name.removesuffix(suffix)) == kind
        for suffix in _SUFFIXES.get(kind, ())
    )


def _exported(reading: Reading) -> Sequence[Labels]:
    return reading.exported if reading.exported is not None else reading.series
