"""What the rule benchmark evaluates: the samples of a fleet, rules over them, and their bare arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.prometheus import Samples
from model.labels import NAME, Labels
from model.moment import MINUTE, SECOND
from telemetry.settings import WindowLimits
from telemetry.window import Window

Floats = NDArray[np.float64]

TARGETS = 500
SAMPLES = 12
SCRAPE = 15 * SECOND
RANGE = 30 * MINUTE
"""Of ranges and look-back: the 12 samples are all there is in it, as long as the run may last."""
EVERY = 4 * SECOND
METRICS = ("bench_gauge", "bench_limit", "bench_requests_total")


@dataclass(frozen=True, slots=True)
class Case:
    """One rule of the comparison; `bound` is its bare arithmetic on arrays that lie ready."""

    name: str
    rule: str
    bound: Callable[[Fleet], object]


@dataclass
class Fleet:
    """The samples: per metric `values[12, series]`, the series of a target side by side."""

    series: int
    end: int
    labels: dict[str, list[Labels]] = field(default_factory=dict)
    values: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(42)
        self.offsets = chance.integers(0, SCRAPE, TARGETS)
        self.starts = np.arange(0, self.series, self.size)
        self.partners = chance.permutation(self.series)
        for name in METRICS:
            self.labels[name] = [self._labelled(name, row) for row in range(self.series)]
        self.values["bench_gauge"] = _levels(chance, self.series)
        self.values["bench_limit"] = np.full((SAMPLES, self.series), 99.9)
        self.values["bench_requests_total"] = _counters(chance, self.series)

    @property
    def size(self) -> int:
        """Series of one metric at one target."""
        return self.series // TARGETS

    def _labelled(self, name: str, row: int) -> Labels:
        node, place = divmod(row, self.size)
        return Labels(
            {
                NAME: name,
                "job": "bench",
                "instance": f"node-{node}:9400",
                "node": f"node-{node}",
                "rack": f"rack-{node // 20}",
                "gpu": str(place % 8),
                "pod": f"vllm-{node}-{place}",
            }
        )

    def times(self, target: int) -> NDArray[np.int64]:
        """When a target was scraped (ms)."""
        newest = self.end - SCRAPE + int(self.offsets[target])
        return newest - SCRAPE * np.arange(SAMPLES - 1, -1, -1, dtype=np.int64)

    def last(self, name: str) -> Floats:
        """The newest values."""
        values: Floats = self.values[name][-1]
        return values

    def all(self) -> Iterator[Samples]:
        """Every series, as Prometheus is given them."""
        for name in METRICS:
            columns = np.ascontiguousarray(self.values[name].T)
            for row, labels in enumerate(self.labels[name]):
                yield Samples(labels, self.times(row // self.size), columns[row])

    def window(self) -> Window:
        """Every series, as Fleetowl is given them."""
        window = Window(RANGE + 5 * MINUTE, WindowLimits(memory=8 << 30))
        for node in range(TARGETS):
            target = window.target(f"node/{node}", SCRAPE)
            rows = range(node * self.size, (node + 1) * self.size)
            labels = [self.labels[name][row] for name in METRICS for row in rows]
            ids = np.array([window.series(target, one) for one in labels])
            for sample, at in enumerate(self.times(node).tolist()):
                values = np.concatenate(
                    [self.values[name][sample][rows.start : rows.stop] for name in METRICS]
                )
                window.append(target, at, ids, values)
        return window


def _levels(chance: np.random.Generator, series: int) -> Floats:
    """Gauges between 0 and 100; of the newest values exactly 0.1 % are above 99.9 and 5 % above 95."""
    values = chance.uniform(0, 100, (SAMPLES, series))
    values[-1] = (chance.permutation(series) + 0.5) * (100 / series)
    return values


def _counters(chance: np.random.Generator, series: int) -> Floats:
    """Counters that start high; one in a hundred is reset once."""
    values = chance.uniform(1e6, 2e6, series) + np.cumsum(chance.uniform(0, 500, (SAMPLES, series)), axis=0)
    for row in range(0, series, 100):
        values[chance.integers(1, SAMPLES) :, row] -= 9e5
    return values


def alert(name: str, expression: str, annotation: str = "") -> str:
    """A rule as it stands in the file."""
    text = f"  - alert: {name}\n    expr: {expression}\n    labels: {{severity: warning}}\n"
    return text + (f"    annotations:\n      summary: '{annotation}'\n" if annotation else "")


def record(name: str, expression: str) -> str:
    """A rule as it stands in the file."""
    return f"  - record: bench:{name}\n    expr: {expression}\n"


def rule_file(name: str, rules: str) -> str:
    """One group."""
    return f"groups:\n- name: {name}\n  interval: {EVERY // SECOND}s\n  rules:\n{rules}"


WORDS = "{{ $labels.node }} GPU {{ $labels.gpu }} is at {{ $value | humanize }}"
"""Of computed values; those that are samples are shown to the last digit too."""
JOIN = "bench_gauge > on (node, gpu, pod) bench_limit"


def bound_rates(fleet: Fleet) -> Floats:
    """Increase over the samples, resets added, without extrapolation."""
    values = fleet.values["bench_requests_total"]
    before, after = values[:-1], values[1:]
    gained: Floats = values[-1] - values[0] + np.where(after < before, before, 0.0).sum(axis=0)
    return gained


def bound_quantiles(fleet: Fleet) -> object:
    """The 99th percentile of each target by partition."""
    rows = fleet.last("bench_gauge").reshape(TARGETS, fleet.size)
    rank = int(0.99 * (fleet.size - 1))
    return np.partition(rows, (rank, min(rank + 1, fleet.size - 1)), axis=1)[:, rank]


CASES = [
    Case(
        "threshold, 0.1 % fire",
        alert("Hot", "bench_gauge > 99.9"),
        lambda fleet: np.flatnonzero(fleet.last("bench_gauge") > 99.9),
    ),
    Case(
        "sum by",
        record("sum", "sum by (node) (bench_gauge)"),
        lambda fleet: np.add.reduceat(fleet.last("bench_gauge"), fleet.starts),
    ),
    Case(
        "sum by (rate)",
        record("rate", "sum by (node) (rate(bench_requests_total[30m]))"),
        lambda fleet: np.add.reduceat(bound_rates(fleet), fleet.starts),
    ),
    Case("quantile by", record("p99", "quantile by (node) (0.99, bench_gauge)"), bound_quantiles),
    Case(
        "join on labels, 1 to 1",
        alert("Over", JOIN),
        lambda fleet: np.flatnonzero(fleet.last("bench_gauge") > fleet.last("bench_limit")[fleet.partners]),
    ),
    Case(
        "5 % fire, annotations",
        alert("Warm", "bench_gauge > 95", WORDS + " ({{ $value }})"),
        lambda fleet: np.flatnonzero(fleet.last("bench_gauge") > 95),
    ),
]


def mixed_rules() -> str:
    """A hundred rules, each over all series of a metric or two."""
    rules = []
    for k in range(10):
        rules += [
            alert(f"Hot{k}", f"bench_gauge > {99.9 - k / 100}", WORDS),
            alert(f"LongHot{k}", f"avg_over_time(bench_gauge[30m]) > {76 + k / 2}", WORDS),
            record(f"sum{k}", f"sum by (node, gpu) (bench_gauge) / {k + 1}"),
            record(f"rate{k}", f"sum by (node) (rate(bench_requests_total[30m])) * {k + 1}"),
            record(f"quantile{k}", f"quantile by (rack) ({0.5 + k / 20}, bench_gauge)"),
            alert(f"Over{k}", f"bench_gauge - {k / 100} > on (node, gpu, pod) bench_limit"),
            record(f"max{k}", f"max without (pod, gpu) (bench_gauge + {k})"),
            alert(f"Busy{k}", f"rate(bench_requests_total[30m]) > {22.3 + k / 10}", WORDS),
            record(f"count{k}", f"count by (rack) (bench_gauge > {90 + k / 2})"),
            record(f"ratio{k}", f"sum by (rack) (bench_gauge) / sum by (rack) (bench_limit + {k})"),
        ]
    return "".join(rules)
