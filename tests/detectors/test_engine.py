"""Scoring over the window: each sample once, in order, at any cadence, over a restart, as series."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import jobs
from detectors.contract import Columns
from detectors.engine import METRICS, Scoring
from detectors.entity import state as entities
from detectors.settings import DetectorSettings
from detectors.streaming.detector import LevelDetector
from detectors.streaming.settings import StreamingSettings
from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.snapshot import freeze, read, thaw, write
from telemetry.window import Selection, Window, WindowLimits

NOW = 1_700_000_000_000
# A shorter warm-up than anybody may configure.
QUICK = DetectorSettings(streaming=StreamingSettings().model_copy(update={"warm_up": 4}))
RESULTS = ("fleetowl_anomaly_score", "fleetowl_expected_low", "fleetowl_expected_high")


class Fleet:
    """A window with one scraped target (two gauges, a counter) and one remote writer, and its scoring."""

    def __init__(self, window: Window | None = None, detectors: DetectorSettings = QUICK) -> None:
        self.window = window or Window()
        self.scoring = Scoring(self.window, detectors)
        self.names = ("node_load1", "DCGM_FI_DEV_GPU_TEMP", "node_cpu_seconds_total")
        self.remote = "rw:load"

    def ids(self) -> NDArray[np.int64]:
        target = self.window.target("node", 5_000)
        return np.array([self.window.series(target, self.labels(name)) for name in self.names])

    def labels(self, name: str) -> Labels:
        return Labels({"__name__": name, "instance": "a"})

    def scrape(self, at: int, *values: float) -> None:
        ids = self.ids()[: len(values)]
        self.window.append(self.window.target("node", 5_000), NOW + at, ids, np.array(values))

    def send(self, at: int, value: float) -> None:
        target = self.window.target("rw", 0)
        sid = self.window.series(target, self.labels(self.remote), "gauge")
        self.window.append_each(target, np.array([NOW + at]), np.array([sid]), np.array([value]))

    def step(self, at: int = 0) -> int:
        return self.scoring.step(NOW + at)

    def result(self, name: str, metric: str) -> Selection | None:
        wanted = {"__name__": name, "metric": metric, "detector": "level"}
        matchers = [Matcher(label, Op.EQUAL, value) for label, value in wanted.items()]
        found = self.window.select(matchers)
        return found[0] if found else None

    def newest(self, result: str, metric: str) -> float:
        """NaN where there is none."""
        return ([math.nan] + [value for _, value in self.history(result, metric)])[-1]

    def history(self, name: str, metric: str) -> list[tuple[int, float]]:
        selection = self.result(name, metric)
        if selection is None:
            return []
        times, values, present = selection.range(NOW - 10**6, NOW + 10**9)
        return list(zip((times[present] - NOW).tolist(), values[present].tolist(), strict=True))


def load(tick: int) -> float:
    return 10 + (tick * 7919 % 13) / 13


def test_demanded_results_stand_beside_their_source() -> None:
    fleet, alone = Fleet(), LevelDetector(QUICK.streaming)
    fleet.scoring.demand("node_load1")
    expected = []
    for tick in range(12):
        fleet.scrape(tick * 5_000, load(tick), 60.0, tick)
        fleet.step()
        columns = Columns(np.array([NOW + tick * 5_000]), np.array([0]), np.array([load(tick)]))
        results = alone.step(columns)
        if tick >= 4:
            expected.append((tick * 5_000, *results.values[0].tolist()))
    for place, name in enumerate(RESULTS, start=1):
        assert fleet.history(name, "node_load1") == [(row[0], row[place]) for row in expected]
        assert fleet.history(name, "DCGM_FI_DEV_GPU_TEMP") == []
    selection = fleet.result("fleetowl_expected_high", "node_load1")
    assert selection is not None
    assert selection.interval == 5_000
    assert selection.labels == [
        Labels(
            {
                "__name__": "fleetowl_expected_high",
                "instance": "a",
                "metric": "node_load1",
                "detector": "level",
            }
        )
    ]


def test_results_of_a_remote_writer_have_its_times() -> None:
    fleet = Fleet()
    fleet.scoring.demand("rw:load")
    for tick in range(8):
        fleet.send(tick * 1_234, load(tick))
        fleet.step()
    assert [time for time, _ in fleet.history("fleetowl_anomaly_score", "rw:load")] == [
        4_936,
        6_170,
        7_404,
        8_638,
    ]


def test_counters_are_scored_as_rate_per_second() -> None:
    fleet = Fleet()
    fleet.scoring.demand("node_cpu_seconds_total")
    for tick in range(20):
        fleet.scrape(tick * 5_000, 1.0, 1.0, 1e9 + tick * 50.0)
        fleet.step()
    score, low, high = (fleet.newest(result, "node_cpu_seconds_total") for result in RESULTS)
    assert low < 10.0 < high
    assert 0 <= score < 0.1


def test_a_reset_is_no_anomaly() -> None:
    fleet = Fleet()
    fleet.scoring.demand("node_cpu_seconds_total")
    for tick in range(40):
        count = tick if tick < 30 else tick - 29  # restarts and counts on at the same pace
        fleet.scrape(tick * 5_000, 1.0, 1.0, count * 50.0)
        fleet.step()
        if tick > 10:
            assert fleet.newest("fleetowl_anomaly_score", "node_cpu_seconds_total") < 1


@settings(max_examples=25, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["scrape", "part", "send"]), st.integers(0, 100)),
        min_size=20,
        max_size=60,
    ),
    looks=st.sets(st.integers(0, 60)),
)
def test_scores_are_the_same_however_often_the_tick_comes(
    arrivals: list[tuple[int, str, int]], looks: set[int]
) -> None:
    """Jitter, late samples, split scrapes and duplicates, seen at every arrival, at some, or at the end."""
    fleets = [Fleet() for _ in range(3)]
    for place, (jitter, how, value) in enumerate(arrivals):
        for number, fleet in enumerate(fleets):
            at = (place * 10 + jitter) * 100
            if how == "send":
                fleet.send(at, value)
            else:
                fleet.scrape(at, *([value, 60.0, place] if how == "scrape" else [value]))
            if number == 0 or (number == 1 and place in looks):
                fleet.step()
    states = []
    for fleet in fleets:
        fleet.step()
        state = fleet.scoring.snapshot()
        states.append({name: array.tobytes() for name, array in state.items()})
    assert states[0] == states[1] == states[2]


def test_a_late_sample_is_not_scored() -> None:
    one, two = Fleet(), Fleet()
    for fleet, late in ((one, True), (two, False)):
        fleet.scoring.demand("node_load1")
        for tick in range(10):
            fleet.scrape(tick * 5_000, load(tick))
            if late and tick == 6:
                fleet.scrape(27_000, 1e9)
        fleet.step()
    assert one.history("fleetowl_anomaly_score", "node_load1") == (
        two.history("fleetowl_anomaly_score", "node_load1")
    )
    assert len(one.history("fleetowl_anomaly_score", "node_load1")) == 6


def test_nan_infinity_and_stale_are_skipped() -> None:
    fleet, clean = Fleet(), Fleet()
    for tick in range(10):
        fleet.scrape(tick * 5_000, load(tick))
        clean.scrape(tick * 5_000, load(tick))
        fleet.scrape(tick * 5_000 + 1, float("nan"))
        fleet.scrape(tick * 5_000 + 2, float("inf"))
        fleet.window.mark_stale(fleet.window.target("node", 5_000), NOW + tick * 5_000 + 3)
        fleet.step()
        clean.step()
    one, two = fleet.scoring.snapshot(), clean.scoring.snapshot()
    assert one["level@4/state"].tobytes() == two["level@4/state"].tobytes()
    assert fleet.scoring.stats == clean.scoring.stats


def test_results_end_with_their_source() -> None:
    fleet = Fleet()
    fleet.scoring.demand("node_load1")
    for tick in range(8):
        fleet.scrape(tick * 5_000, load(tick), 60.0)
        fleet.step()
    fleet.window.mark_stale(fleet.window.target("node", 5_000), NOW + 40_000, fleet.ids()[:1])
    fleet.step()
    selection = fleet.result("fleetowl_expected_high", "node_load1")
    assert selection is not None
    assert selection.instant(NOW + 39_999, 60_000)[2].all()
    assert not selection.instant(NOW + 40_000, 60_000)[2].any()


def test_a_restart_in_the_middle_changes_no_score(tmp_path: Path) -> None:
    steady, restarted = Fleet(), Fleet()
    for fleet in (steady, restarted):
        for metric in (*fleet.names, "rw:load"):
            fleet.scoring.demand(metric)
    for tick in range(30):
        for fleet in (steady, restarted):
            fleet.scrape(tick * 5_000, load(tick), 60 + load(tick), tick**2)
            fleet.send(tick * 4_000, load(tick))
            if tick % 3:
                fleet.step()
        if tick in (2, 9, 15):  # in warm-up, with arrivals not yet scored, and with them scored
            frozen = freeze(restarted.window, NOW)
            frozen.add("detectors", restarted.scoring.snapshot())
            write(frozen, tmp_path / "window")
            back = read(tmp_path / "window")
            restarted = Fleet(thaw(back))
            assert "go on with" in restarted.scoring.restore(back.of("detectors"))
            for metric in (*restarted.names, "rw:load"):
                restarted.scoring.demand(metric)
    for name in RESULTS:
        assert len(steady.history(name, "node_load1")) == 26
        for metric in (*steady.names, "rw:load"):
            assert restarted.history(name, metric) == steady.history(name, metric)


def test_state_of_another_window_is_left_alone() -> None:
    one, other = Fleet(), Fleet()
    one.scrape(0, 1.0, 2.0, 3.0)
    one.step()
    assert "start from nothing" in other.scoring.restore(one.scoring.snapshot())
    assert "start from nothing" in other.scoring.restore({})


def test_compaction_keeps_every_score() -> None:
    steady, compacted = Fleet(), Fleet()
    for fleet in (steady, compacted):
        old = fleet.window.target("old", 5_000)
        for n in range(20):
            fleet.window.series(old, Labels({"__name__": "node_load1", "instance": f"old{n}"}))
        fleet.window.series(fleet.window.target("gone", 5_000), Labels({"__name__": "node_load1"}))
        fleet.window.append(old, NOW, np.arange(20), np.ones(20))
        fleet.scoring.demand("node_load1")
        fleet.scoring.demand("node_cpu_seconds_total")
    for tick in range(20):
        for fleet in (steady, compacted):
            fleet.scrape(tick * 5_000, load(tick), 60 + load(tick), tick**2)
            if tick % 4 == 0:
                fleet.step()
        if tick == 10:
            compacted.window.drop_target("old")
        if tick in (3, 10, 13):
            remap = compacted.window.compact(NOW + tick * 5_000)
            if remap is not None:
                compacted.scoring.remap(remap)
    for fleet in (steady, compacted):
        fleet.step()
    assert compacted.window.stats.compactions == 2
    assert compacted.history("fleetowl_anomaly_score", "node_load1") == (
        steady.history("fleetowl_anomaly_score", "node_load1")
    )
    assert compacted.history("fleetowl_anomaly_score", "node_cpu_seconds_total") == (
        steady.history("fleetowl_anomaly_score", "node_cpu_seconds_total")
    )


def test_results_follow_their_source_when_its_id_goes_to_another() -> None:
    fleet = Fleet()
    window, sources = fleet.window, {}
    for key in ("a", "b", "c"):
        target = window.target(key, 5_000)
        sources[key] = Labels({"__name__": "node_load1", "instance": key})
        window.series(target, sources[key], "gauge")
    window.series(window.target("c", 5_000), Labels({"__name__": "node_load5"}), "gauge")
    fleet.scoring.demand("node_load1")
    for tick in range(20):
        fifth = window.series(window.target("c", 5_000), Labels({"__name__": "node_load5"}))
        window.append(window.target("c", 5_000), NOW + tick * 5_000, np.array([fifth]), np.ones(1))
        for place, key in enumerate("abc"):
            if key in window.registry.target_of:
                sid = window.series(window.target(key, 5_000), sources[key])
                value = (place + 1) * 1_000 + load(tick)
                window.append(
                    window.target(key, 5_000), NOW + tick * 5_000, np.array([sid]), np.array([value])
                )
        fleet.step()
        if tick == 10:
            window.drop_target("a")
            remap = window.compact(NOW)
            assert remap is not None
            fleet.scoring.remap(remap)
    highs = fleet.result("fleetowl_expected_high", "node_load1")
    assert highs is not None
    values, _, present = highs.instant(NOW + 95_000, 5_000)
    assert present.all()
    found = {labels.value("instance"): value for labels, value in zip(highs.labels, values, strict=True)}
    assert set(found) == {"b", "c"}
    assert fleet.result("fleetowl_expected_high", "node_load5") is None
    assert 2_000 < found["b"] < 2_500
    assert 3_000 < found["c"] < 3_750


def test_a_state_that_does_not_fit_is_left_alone() -> None:
    before = Fleet()
    for tick in range(8):
        before.scrape(tick * 5_000, load(tick), 60.0)
        before.step()
    state = before.scoring.snapshot()
    foreign: list[dict[str, Any]] = [{}, {"other": np.zeros(3)}, {**state, "size": state["size"] + 1}]
    foreign += [{key: array for key, array in state.items() if key != name} for name in state]
    sized = [name for name in state if name.startswith(("level", "rate")) and len(state[name])]
    foreign += [{**state, name: state[name][:-1]} for name in sized]
    for each in foreign:
        after = Fleet(thaw(freeze(before.window, NOW)))
        assert "from nothing" in after.scoring.restore(each)
        after.scrape(40_000, load(8), 60.0)
        after.step()
    assert "go on with" in Fleet(thaw(freeze(before.window, NOW))).scoring.restore(state)


def test_results_end_with_a_source_that_ends_right_after_a_restart() -> None:
    before = Fleet()
    before.scoring.demand("node_load1")
    for tick in range(8):
        before.scrape(tick * 5_000, load(tick), 60.0)
        before.step()
    after = Fleet(thaw(freeze(before.window, NOW)))
    after.scoring.restore(before.scoring.snapshot())
    after.scoring.demand("node_load1")
    after.window.mark_stale(after.window.target("node", 5_000), NOW + 40_000, after.ids()[:1])
    after.step()
    selection = after.result("fleetowl_expected_high", "node_load1")
    assert selection is not None
    assert not selection.instant(NOW + 40_000, 60_000)[2].any()


def test_a_series_that_comes_back_gets_its_results_again() -> None:
    fleet = Fleet()
    fleet.scoring.demand("node_load1")
    for start in (0, 100_000):
        for tick in range(8):
            fleet.scrape(start + tick * 5_000, load(tick))
            fleet.step()
        assert len(fleet.history("fleetowl_anomaly_score", "node_load1")) == 4
        fleet.window.drop_target("node")


def test_a_full_window_refuses_results_and_scoring_goes_on() -> None:
    fleet = Fleet(Window(limits=WindowLimits(series=3, memory=1 << 20)))
    fleet.scoring.demand("node_load1")
    for tick in range(8):
        fleet.scrape(tick * 5_000, load(tick), 1.0, 1.0)
        fleet.step()
    assert fleet.scoring.stats.samples == 16 + 7, "the first sample of a counter gives no rate"
    refused = {
        sample.labels["detector"]: sample.value
        for sample in fleet.scoring.samples()
        if sample.name == "fleetowl_detector_refused_total"
    }
    assert refused["level"] == 4


def test_disabled_detectors_score_nothing_and_hoard_nothing() -> None:
    fleet = Fleet(detectors=DetectorSettings(enabled=False))
    fleet.scrape(0, 1.0)
    assert fleet.step() == 0
    assert fleet.window.follow().pending == 0


def test_samples_are_those_that_are_declared() -> None:
    fleet = Fleet()
    fleet.scrape(0, 1.0)
    fleet.step()
    names = {sample.name for sample in fleet.scoring.samples()}
    assert names <= {metric.name for metric in (*METRICS, *jobs.METRICS, *entities.METRICS)}
    assert names >= {metric.name for metric in METRICS}


def test_damaged_state_is_no_state() -> None:
    fleet = Fleet()
    for tick in range(8):
        fleet.scrape(5_000 * tick, load(tick), 40, tick)
        fleet.step(5_000 * tick)
    good = fleet.scoring.snapshot()
    huge = np.array([2**40])
    for key, damaged in (
        ("moments@1/waiting_ids", np.full_like(good["moments@1/waiting_ids"], 2**40)),
        ("moments@1/waiting_times", good["moments@1/waiting_times"][:-1]),
        ("moments@1/closed", huge[:0]),
        ("pending_lengths", huge),
        ("rate@2/value", good["rate@2/value"][:-1]),
        ("size", huge[:0]),
    ):
        fleet.scoring = Scoring(fleet.window, QUICK)
        said = fleet.scoring.restore({**good, key: damaged})
        assert said == "The detectors' state does not fit the window: they start from nothing.", key
        assert fleet.scoring._moments.closed == 0, "not half of it"
        fleet.step(10**6)
