"""What is told to run out, when, and what is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.contract import Moment
from detectors.trends.detector import TrendDetector
from detectors.trends.settings import TrendLimit, TrendSettings
from model.labels import Labels
from model.settings import ConfigurationError, load_section
from telemetry.bits import Floats
from telemetry.window import Window

MEMORY = "node_memory_MemAvailable_bytes"
LATENCY = "instance:time_to_first_token_seconds:mean5m"
START = 1_700_000_010_000
MINUTE = 60_000


class Host:
    """Some series with the same labels, and what is told of the first."""

    def __init__(self, *metrics: str, detector: TrendDetector | None = None, copies: int = 1) -> None:
        self.window = Window()
        target = self.window.target("n", MINUTE)
        for number in range(copies):
            for metric in metrics:
                labels = Labels({"__name__": metric, "instance": f"n{number + 1}"})
                self.window.series(target, labels, "gauge")
        self.detector = detector or TrendDetector()
        self.detector.demand(self.window, metrics[0])

    def tell(self, *series: NDArray[Any], step: int = MINUTE) -> Floats:
        return self.each(np.stack(series, axis=1), step)[:, 0]

    def each(self, values: NDArray[Any], step: int) -> Floats:
        told = np.full(values.shape, np.nan)
        for tick, row in enumerate(values):
            at = START + tick * step
            results = self.detector.step(Moment(at, np.full(len(row), at), np.array(row)))
            told[tick, results.subjects] = results.values[:, 0]
        return told


def noisy(values: NDArray[Any], noise: float, seed: int = 3) -> Floats:
    return np.asarray(values + noise * np.random.default_rng(seed).normal(size=len(values)))


def test_a_leak_is_told_within_two_hours_and_counts_down() -> None:
    minutes = np.arange(280)
    told = Host(MEMORY).tell(noisy(1e9 - 3.125e6 * minutes, 2e6))
    truth = (320 - minutes) * 60.0
    there = np.isfinite(told)
    assert there[120:].mean() > 0.9
    assert np.abs(told[120:][there[120:]] / truth[120:][there[120:]] - 1).max() < 0.1


def test_the_eta_of_an_exact_line_is_exact_at_any_cadence() -> None:
    for step in (15_000, MINUTE):
        ticks = np.arange(3_600_000 // step)
        left = 4e3 - ticks * step / 1000
        told = Host(MEMORY).tell(left, step=step)
        there = np.isfinite(told)
        assert there.any()
        # A bin is told by its middle, which the samples in it miss by half a step at most.
        assert np.abs(told[there] - left[there]).max() <= 30 + step / 1000
        assert (np.diff(told[there]) < step / 1000).all()


def test_what_leads_nowhere_has_no_eta() -> None:
    minutes = np.arange(0, 3600, 10)
    shapes = [
        np.zeros(len(minutes)),  # noise
        -300.0 * (minutes > 2000),  # a step
        -200.0 * (minutes > 1000) - 200.0 * (minutes > 3000),  # two
        0.1 * minutes,  # away from the limit
        250 * np.sin(minutes * 2 * np.pi / 1440),  # a rhythm
        -1.2 * (minutes % 300),  # a sawtooth
    ]
    values = [noisy(1000 + shape, 5, seed) for seed, shape in enumerate(shapes)]
    told = Host(MEMORY, copies=len(shapes)).each(np.stack(values, axis=1), step=10 * MINUTE)
    assert np.isnan(told[:, :4]).all()
    assert np.isnan(told[144:, 4:]).all(), "after the first day"


def test_freed_memory_restarts_the_fit_and_ends_what_was_told() -> None:
    minutes = np.arange(300)
    values = noisy(np.where(minutes < 200, 1000 - 4.0 * minutes, 950), 2)
    host = Host(MEMORY)
    told = host.tell(values)
    assert np.isfinite(told[150:199]).all()
    assert np.isnan(told[203:]).all()


def test_used_memory_ends_at_what_there_is() -> None:
    minutes = np.arange(200)
    used = noisy(40_000 + 100.0 * minutes, 30)
    told = Host("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE").tell(used, 80_000 - used)
    assert told[-1] == pytest.approx((400 - 200) * 60, rel=0.1)
    assert np.isnan(Host("DCGM_FI_DEV_FB_USED").tell(used)).all(), "nobody knows how much there is"


def test_a_latency_that_has_been_rising_decays_to_a_multiple_of_its_early_level() -> None:
    minutes = np.arange(0, 900, 4)
    values = noisy(0.2 + 0.0003 * np.maximum(minutes - 300, 0), 0.003)
    told = Host(LATENCY).tell(values, step=4 * MINUTE)
    assert np.isnan(told[minutes < 300]).all()
    assert np.isfinite(told[minutes > 700]).any()


def test_results_are_named_by_what_they_are_a_trend_of() -> None:
    host = Host(LATENCY)
    labels = host.detector.labels(host.window, 0, "fleetowl_trend_eta_seconds")
    assert labels == Labels(
        {"instance": "n1", "metric": LATENCY, "detector": "trend", "trend": "decay"}
        | {"__name__": "fleetowl_trend_eta_seconds"}
    )


def test_ones_own_limit_goes_before_the_known_one() -> None:
    own = TrendSettings(limits={MEMORY: TrendLimit(limit=400.0, rising=False, kind="leak")})
    minutes = np.arange(200)
    told = Host(MEMORY, detector=TrendDetector(own)).tell(1000 - 2.0 * minutes)
    assert told[-1] == pytest.approx((300 - 199) * 60, rel=0.05)


@pytest.mark.parametrize(
    ("metric", "limit", "says"),
    [
        (
            "x",
            {"limit": 3, "multiple": 2},
            "x: needs exactly one of limit, multiple and total_of, got limit",
        ),
        ("x", {}, "x: needs exactly one of limit, multiple and total_of, got none of them"),
        ("x", {"limit": math.nan}, "x.limit: must be a finite number, got nan"),
        ("x", {"multiple": math.inf}, "x.multiple: must be a finite number, got inf"),
        ("x", {"limit": 1, "kind": "rot"}, "x.kind: must be 'leak', 'exhaustion' or 'decay', got 'rot'"),
        ("x", {"total_of": ["a", "b", "c"]}, "x.total_of: must have at most 2 items, got 3"),
        ("x y", {"limit": 1}, "x y: 'x y' is not the name of a metric"),
        ("fleetowl_x", {"limit": 1}, "fleetowl_x: fleetowl_x is Fleetowl's own"),
    ],
)
def test_what_is_wrong_with_a_limit_is_said_at_load(metric: str, limit: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(TrendSettings, {"limits": {metric: limit}}, "fleetowl.yml", "detectors.trends")
    assert str(caught.value).startswith(f"fleetowl.yml: detectors.trends.limits.{says}")


def test_a_metric_without_a_limit_is_not_followed() -> None:
    host = Host("node_load1")
    assert not host.detector.watched(1).any()
    host.detector.release("node_load1")


def test_the_state_goes_on_after_a_restart_before_the_demand() -> None:
    values = noisy(1e9 - 2.5e6 * np.arange(300), 2e6)
    whole = Host(MEMORY).tell(values)
    first, again = Host(MEMORY), Host(MEMORY)
    first.tell(values[:250])
    again.detector = TrendDetector()
    again.detector.restore(first.detector.snapshot(1), 1)
    again.detector.demand(again.window, MEMORY)
    at = START + 250 * MINUTE
    results = again.detector.step(Moment(at, np.array([at]), values[250:251]))
    assert results.values[0, 0] == whole[250]
