"""What every detector must hold, whoever wrote it: the one suite that all of them pass."""

from __future__ import annotations

import math
from functools import cache

import pytest

from detectors.contract import TREND_ETA, Detector
from detectors.engine import Scoring
from detectors.settings import DetectorSettings
from telemetry.window import Window
from tests.detectors.checks.story import (
    FAULT,
    PLAIN,
    START,
    STEP,
    TICKS,
    History,
    Telling,
    Variation,
    of,
    scores,
)
from tests.detectors.checks.subjects import CUSTOM, QUIET, SETTINGS, WARM, with_custom

DETECTORS: dict[str, Detector] = {one.name: one for one in Scoring(Window(), SETTINGS).detectors}


@cache
def custom() -> DetectorSettings:
    return with_custom()


@cache
def _told(variation: Variation, whose: bool) -> History:
    return Telling(custom() if whose else SETTINGS, variation).tell()


def told(variation: Variation, name: str) -> History:
    """What is said where this detector runs."""
    return _told(variation, name in CUSTOM)


@pytest.fixture(
    params=[*sorted(DETECTORS), *(pytest.param(name, marks=pytest.mark.acceptance) for name in CUSTOM)]
)
def name(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in DETECTORS:
        DETECTORS.update({one.name: one for one in Scoring(Window(), custom()).detectors})
    return name


def test_it_says_what_it_is_and_when_it_fails(name: str) -> None:
    detector = DETECTORS[name]
    assert detector.name == name
    assert detector.version >= 1
    assert detector.fails.endswith("."), "a sentence"
    assert len(detector.fails.split()) >= 5
    assert detector.results
    assert all(result.startswith("fleetowl_") for result in detector.results)
    assert isinstance(type(detector).__doc__, str)


def test_names_are_distinct() -> None:
    names = [detector.name for detector in Scoring(Window(), SETTINGS).detectors]
    assert len(set(names)) == len(names)
    assert not CUSTOM.keys() & set(names)


def test_its_results_are_finite_series_with_the_labels_of_what_they_are_about(name: str) -> None:
    said = of(told(PLAIN, name), name)
    assert said, "it said nothing"
    for (_, result, metric, rest), rows in said.items():
        assert result in DETECTORS[name].results
        assert all(math.isfinite(value) for _, value in rows)
        times = [time for time, _ in rows]
        assert times == sorted(set(times)), "once a sample"
        assert dict(rest).get("instance")
        assert bool(metric) or "entity" in dict(rest)


def test_a_fault_is_seen_and_not_before_it_is_there(name: str) -> None:
    if TREND_ETA in DETECTORS[name].results:
        etas = [value for rows in of(told(PLAIN, name), name).values() for _, value in rows]
        assert min(etas) >= 0
        return
    before = [
        value for _, tick, value in scores(told(PLAIN, name), name) if WARM.get(name, 0) <= tick < FAULT
    ]
    after = [abs(value) for _, tick, value in scores(told(PLAIN, name), name) if tick >= FAULT]
    # A score that is bounded has a tail that the story is too short for: their own tests hold this.
    assert max(after) > 1 or name in CUSTOM, "not seen"
    assert sum(abs(value) > 1 for value in before) <= 0.01 * len(before)


def test_constants_are_no_anomaly(name: str) -> None:
    history = told(Variation(ticks=150, constant=True, fault=False), name)
    assert [row for row in scores(history, name) if abs(row[2]) > 1] == []
    if TREND_ETA in DETECTORS[name].results:
        assert of(history, name) == {}


def test_gaps_odd_values_and_things_that_are_away_are_borne(name: str) -> None:
    said = of(told(Variation(gaps=True, odd_values=True), name), name)
    assert said or TREND_ETA in DETECTORS[name].results
    assert all(math.isfinite(value) for rows in said.values() for _, value in rows)


def test_a_reset_is_no_anomaly(name: str) -> None:
    history = told(Variation(ticks=126, reset_at=120, fault=False), name)
    of_counter = [
        (tick, value)
        for key, tick, value in scores(history, name)
        if key[2] == "vllm:generation_tokens_total" and abs(value) > 1 and 120 <= tick < 125
    ]
    assert of_counter == []


def test_after_a_restart_of_what_is_watched_nothing_is_said_for_a_warm_up(name: str) -> None:
    if TREND_ETA in DETECTORS[name].results:
        return  # what fills up goes on where it was; what is given back is seen by its fall
    said = of(told(Variation(ticks=162, restarted_at=140, fault=False), name), name)
    ticks = [(time - START) // STEP for rows in said.values() for time, _ in rows]
    assert any(tick < 140 for tick in ticks)
    assert [tick for tick in ticks if 140 <= tick < 140 + QUIET] == []


def test_a_restart_of_what_is_watched_ends_no_alarm(name: str) -> None:
    at = FAULT + 10
    known = {(key, tick): value for key, tick, value in scores(told(PLAIN, name), name)}
    after = {
        (key, tick): value
        for key, tick, value in scores(told(Variation(ticks=at + 6, restarted_at=at), name), name)
    }
    on = {key for (key, tick), value in known.items() if tick == at - 1 and abs(value) > 1}
    assert on or name in ("cusum", "trend", *CUSTOM)
    for key in on:
        assert abs(after[key, at]) > 1, "judged by what was known"
        for tick in range(at, at + 6):
            value = known.get((key, tick), 0.0)
            if abs(value) > 1:  # it is the same alarm
                assert after[key, tick] * value > 0
                assert abs(after[key, tick]) > 1, "and stays so"
    if name != "cusum":  # it goes on where level does
        assert {key for key, tick in after if tick >= at} <= on, "all others are silent"


def test_a_restart_in_the_middle_changes_nothing(name: str) -> None:
    assert of(told(Variation(restart_at=(3, 70, 130, 185)), name), name) == of(told(PLAIN, name), name)


def test_neither_the_order_of_the_series_nor_the_cadence_of_the_tick_matters(name: str) -> None:
    """Nor anything else that two runs need not have in common."""
    assert of(told(Variation(reverse=True, cadence=7), name), name) == of(told(PLAIN, name), name)


def test_renumbering_changes_nothing(name: str) -> None:
    assert of(told(Variation(compact_at=(50, 130, 190)), name), name) == of(told(PLAIN, name), name)


def test_it_does_not_look_ahead(name: str) -> None:
    until = FAULT + 10
    part = of(told(Variation(ticks=until), name), name)
    whole = of(told(PLAIN, name), name)
    end = max((rows[-1][0] for rows in part.values()), default=0)
    assert {
        key: [row for row in rows if row[0] <= end] for key, rows in whole.items() if rows[0][0] <= end
    } == part


@pytest.mark.acceptance
def test_its_state_is_bounded() -> None:
    telling = Telling(SETTINGS, Variation(ticks=2 * TICKS, fault=False))
    telling.tell()
    early, late = telling.grown[3], telling.grown[-1]
    assert late <= 1.05 * early, telling.grown
