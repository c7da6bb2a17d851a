"""Random expressions on random series: the real Prometheus and Fleetowl answer alike, or both refuse.

The series have gaps, resets, NaN, infinities, late beginnings and stale markers; both sides hold the same
samples with the same times. Asked are instant queries and range queries.

Debian's Prometheus is 2.42. What upstream has changed since, and how it is kept apart:
- Windows are left-open since 3.0, of ranges, look-back and subqueries: nothing lies on an edge. All durations
  are multiples of 5 s, moments are 3 s after one, and the times of samples are no whole seconds.
- A counter's extrapolation is limited at zero after the threshold, not before: the counters stand so high,
  and fall but once, that neither ever matters.
- The deviation of infinite values was 0, it is NaN since 3.0: deviations are taken of finite series.
- `holt_winters` is called `double_exponential_smoothing`: Prometheus is asked under the old name.
- Names are dropped at the end (experimental in 3.x; the default in Fleetowl): selectors here name one metric.
  One in 20,000 queries still met it, none with these seeds: over a range 2.42 refuses `-(a or on (node) b)`
  where a row is called a at one moment and b at another.
- `atan2` kept the metric name (prometheus/prometheus#12595): its vector has none here.
- `predict_linear` moved a range that `@` holds fast through a range query (#13559): it gets no `@` here.
- `timestamp(x @ t offset o)` forgets the offset, to this day: it is asked with one of the two.
And the date of NaN or an infinity is the overflow of a conversion in Go, which each CPU answers otherwise: no
dates of such values are asked for. Nothing else is left out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bench.prometheus import Prometheus, Samples, Unanswered
from model.labels import NAME, Labels
from model.moment import SECOND
from rules.promql.answer import Answer, Scalar, Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import parse
from telemetry.bits import STALE_NAN
from telemetry.window import Window
from tests.rules.expressions import BUCKETS, COUNTER, FINITE, INFO, ODD, Maker

pytestmark = [pytest.mark.peer, pytest.mark.acceptance]

BEGIN = 1_700_000_000_000
STEP = 10 * SECOND
SAMPLES = 60
EXPRESSIONS = 100
MOMENTS = [BEGIN + (k * 5 + 3) * SECOND for k in (19, 41, 64, 77, 103, 118, 130)]
RANGE = (MOMENTS[1], MOMENTS[5], 25 * SECOND)
EDGES = ("0.1", "0.5", "1", "2.5", "+Inf")

Series = dict[tuple[tuple[str, str], ...], dict[int, float]]
"""Points by time (ms; 0 for an instant query), by labels."""


def random_samples(chance: random.Random) -> list[Samples]:
    """All series; those of a node share their times."""
    found = []
    for number, node in enumerate(("n1", "n2", "n3")):
        times = BEGIN + np.arange(SAMPLES) * STEP + 137 + 1100 * number
        place = {"node": node, "rack": "r1" if node < "n3" else "r2"}
        rows: list[tuple[dict[str, str], list[float | None]]] = [
            ({NAME: name, "gpu": gpu, **place}, values(chance, name))
            for name in (ODD, FINITE, COUNTER)
            for gpu in ("0", "1")
        ]
        rows.append(({NAME: INFO, "node": node, "zone": f"z{number // 2}"}, [1.0] * SAMPLES))
        rows += [
            ({NAME: BUCKETS, "le": edge, **place}, list(column))
            for edge, column in zip(EDGES, buckets(chance), strict=True)
        ]
        for labels, column in rows:
            there = [k for k, value in enumerate(column) if value is not None]
            found.append(Samples(Labels(labels), times[there], np.array([column[k] for k in there], float)))
    return found


def values(chance: random.Random, kind: str) -> list[float | None]:
    """A series with gaps and stale markers; counters fall at most once, and not far."""
    value, fallen = chance.uniform(1e6, 2e6), False
    found: list[float | None] = [None] * chance.choice([0, 0, 0, chance.randrange(SAMPLES)])
    while len(found) < SAMPLES:
        event = chance.random()
        if event < 0.04:
            found.append(STALE_NAN)
        elif event < 0.15:
            found.append(None)
        elif kind == COUNTER:
            reset = event < 0.2 and not fallen
            fallen = fallen or reset
            value = value * 0.8 if reset else value + chance.choice([0, chance.uniform(0, 50)])
            found.append(value)
        elif kind == ODD:
            odd = chance.choice([math.nan, math.inf, -math.inf])
            plain = chance.choice([float(chance.randrange(6)), chance.uniform(-2, 6)])
            found.append(odd if event > 0.96 else plain)
        else:
            found.append(chance.uniform(1, 6))
    return found


def buckets(chance: random.Random) -> list[tuple[float, ...]]:
    """Cumulative counts of each edge over time, high from the start."""
    counts = np.array([[chance.choice([0, chance.randrange(20)]) for _ in EDGES] for _ in range(SAMPLES)])
    counts[0] += 10**6
    return [tuple(column) for column in counts.cumsum(axis=0).cumsum(axis=1).T.astype(float)]


def window_of(samples: list[Samples]) -> Window:
    """The same samples in a window; a target for each node."""
    window = Window()
    by_time: dict[tuple[str, int], list[tuple[Labels, float]]] = {}
    for one in samples:
        for at, value in zip(one.times.tolist(), one.values.tolist(), strict=True):
            by_time.setdefault((one.labels["node"], at), []).append((one.labels, value))
    for (node, at), rows in sorted(by_time.items(), key=lambda item: item[0][1]):
        target = window.target(node, STEP)
        ids = np.array([window.series(target, labels) for labels, _ in rows])
        window.append(target, at, ids, np.array([value for _, value in rows]))
    return window


@dataclass(frozen=True, slots=True)
class Both:
    """Prometheus and a window that hold the same samples."""

    prometheus: Prometheus
    window: Window

    def difference(self, text: str, moment: int | None) -> str:
        """What differs for an expression at a moment, or over RANGE; empty if nothing."""
        theirs, ours = self._theirs(text, moment), self._ours(text, moment)
        if isinstance(theirs, str) or isinstance(ours, str):
            alike = isinstance(theirs, str) and isinstance(ours, str)
            return "" if alike else f"Prometheus {shown(theirs)}, Fleetowl {shown(ours)}"
        wrong = [
            f"{dict(labels)} at {at}: Prometheus {one}, Fleetowl {other}"
            for labels in theirs.keys() | ours.keys()
            for at, one, other in apart(theirs.get(labels, {}), ours.get(labels, {}))
        ]
        return "\n  ".join(wrong[:4])

    def _theirs(self, text: str, moment: int | None) -> Series | str:
        text = text.replace("double_exponential_smoothing", "holt_winters")
        try:
            if moment is None:
                return series_of(self.prometheus.query_range(text, *RANGE))
            return series_of(self.prometheus.query(text, moment))
        except Unanswered as error:
            return f"error: {error}"

    def _ours(self, text: str, moment: int | None) -> Series | str:
        try:
            expression = parse(text)
            if moment is None:
                return series_in(expression.evaluate_range(self.window, *RANGE))
            return series_in(expression.evaluate(self.window, moment))
        except (PromQLError, EvaluationError) as error:
            return f"error: {error}"


def shown(answer: Series | str) -> str:
    return answer if isinstance(answer, str) else f"{len(answer)} series"


def apart(theirs: dict[int, float], ours: dict[int, float]) -> list[tuple[int, float | None, float | None]]:
    """The points that are not the same but for rounding."""
    points = [(at, theirs.get(at), ours.get(at)) for at in sorted(theirs.keys() | ours.keys())]
    return [point for point in points if not close(*point[1:])]


def close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    both_nan = math.isnan(one) and math.isnan(other)
    return both_nan or one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def series_of(data: Any) -> Series:
    """An answer of Prometheus' API."""
    result, kind = data["result"], data["resultType"]
    if kind == "scalar":
        return {(): {0: float(result[1])}}
    return {
        tuple(sorted(row["metric"].items())): (
            {0: float(row["value"][1])}
            if kind == "vector"
            else {round(at * 1000): float(value) for at, value in row["values"]}
        )
        for row in result
    }


def series_in(answer: Answer) -> Series:
    """The same of Fleetowl's."""
    assert not isinstance(answer, str)
    if isinstance(answer, Scalar):
        return {(): {0: answer.value}}
    if isinstance(answer, Vector):
        rows = zip(answer.labels, answer.values.tolist(), strict=True)
        return {labels.pairs: {0: value} for labels, value in rows}
    return {
        labels.pairs: dict(zip(times.tolist(), column.tolist(), strict=True))
        for labels, times, column in answer.series()
    }


@pytest.fixture(scope="module", params=range(2))
def both(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    peer_binary: Callable[[str], str],
) -> Iterator[Both]:
    peer_binary("prometheus")
    samples = random_samples(random.Random(request.param))
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as prometheus:
        prometheus.write(samples)
        yield Both(prometheus, window_of(samples))


@pytest.mark.parametrize("seed", range(2))
def test_both_answer_alike(both: Both, seed: int) -> None:
    maker = Maker(seed, [moment // SECOND for moment in MOMENTS])
    wrong = []
    for number in range(EXPRESSIONS):
        text = maker.expression()
        for moment in (MOMENTS[number % len(MOMENTS)], None):
            if found := both.difference(text, moment):
                wrong.append(f"{text}\n at {moment or RANGE}: {found}")
    assert not wrong, f"{len(wrong)} differ\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize(
    "text",
    [
        *["clamp_min(odd, NaN)", "clamp_max(odd, NaN)", "clamp(odd, NaN, 3)", "clamp_min(odd, Inf)"],
        *["year(finite - 3.7)", "day_of_week(vector(-0.5))"],
        'count_values without (node) ("node", odd)',
        'count_values by (node) ("node", odd)',
        'count_values without (nothing) ("node", info)',
        "abs(finite) or (abs(odd) or c_total)",
        'info{node="n9"} / on (node) odd',
        'odd / on (node) info{node="n9"}',
    ],
)
def test_what_once_differed(both: Both, text: str) -> None:
    found = [both.difference(text, moment) for moment in (*MOMENTS, None)]
    assert not any(found), "\n".join(filter(None, found))
