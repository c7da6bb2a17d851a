"""The rhythm of the week: who gets a profile, what it says, and what it does not learn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.contract import Columns
from detectors.streaming import recipe, week
from detectors.streaming.core import StreamingCore
from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap
from tests.detectors.streaming.judged import judged

MONDAY = 1_704_067_200_000
STEP = 900_000
DAY = 96
WEEK = 7 * DAY
LOAD = 40.0
WORKING, DAILY, FLAT, WHOLE_DAYS = range(4)


def times(weeks: int) -> Ints:
    return MONDAY + np.arange(weeks * WEEK) * STEP


def weekend(of: Ints) -> Flags:
    found: Flags = (of - MONDAY) // (DAY * STEP) % 7 >= 5
    return found


def noise(weeks: int, seed: int = 1) -> Floats:
    return 100 + np.random.default_rng(seed).normal(size=weeks * WEEK)


def office(of: Ints) -> Floats:
    """Load that comes between eight and ten, and goes between five and seven."""
    hour = of % (DAY * STEP) / 3_600_000
    return LOAD * np.clip((hour - 8) / 2, 0, 1) * np.clip((19 - hour) / 2, 0, 1)


def working(weeks: int, seed: int = 1) -> Floats:
    at = times(weeks)
    return noise(weeks, seed) + np.where(weekend(at), 0, office(at))


@cache
def rows(weeks: int = 5) -> Floats:
    """`[samples, 4]`: a working week, the same each day, nothing, and weekends that lie lower as a whole."""
    at = times(weeks)
    every_day = noise(weeks, 2) + office(at)
    whole_days = noise(weeks, 4) - np.where(weekend(at), LOAD, 0)
    series = [working(weeks), every_day, noise(weeks, 3), whole_days]
    return np.array(series).T.astype(np.float32).astype(np.float64)


def told(core: StreamingCore, given: Floats, ids: Ints, start: int = 0) -> NDArray[np.float64]:
    """`[samples, 4, series]` of rows `[samples, series]`, the first of which is the `start`-th."""
    return judged(core, given, ids, MONDAY + (start + np.arange(len(given))) * STEP)


def alone(values: Floats, weekly: bool = True) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """`[4, samples]` of the recipe for one series, and its profile."""
    state = np.zeros(recipe.WIDE + week.WIDTH * weekly, np.float32)
    at, out = times(len(values) // WEEK), np.empty((4, len(values)))
    recipe._run(at // 3_600_000 % 168, values, recipe.params_of(StreamingSettings(), STEP), state, out)
    return out, state[recipe.WIDE :]


def used(core: StreamingCore) -> dict[int, bool]:
    """Who has a profile, and whether it is in use."""
    kept = core.snapshot(100)
    profiles = kept["weeks"].view(np.float32)
    return {
        series: profile[week.STATUS] == week.USED
        for series, profile in zip(kept["week_ids"].tolist(), profiles, strict=True)
    }


def test_a_weekend_is_no_anomaly_and_its_band_is_as_narrow_as_that_of_a_working_day() -> None:
    with_weeks, _ = alone(working(5))
    without, _ = alone(working(5), weekly=False)
    free = weekend(times(5)) & (np.arange(5 * WEEK) >= 2 * WEEK)
    assert (with_weeks[0, 2 * WEEK :] <= 1).all()
    wide, narrow = (np.median((out[2] - out[1])[free]) for out in (without, with_weeks))
    assert wide > 3 * narrow
    assert narrow < 2 * LOAD, "else a missing morning is within it"


@pytest.mark.parametrize("day", [28, 33])
def test_a_monday_without_its_morning_and_a_saturday_with_one_are_seen(day: int) -> None:
    values, rest = working(5), times(5)[day * DAY : (day + 1) * DAY]
    values[day * DAY : (day + 1) * DAY] += office(rest) * (1 if day == 33 else -1)
    morning = slice(day * DAY + 8 * 4, day * DAY + 12 * 4)
    assert (alone(values)[0][0, morning] > 1).any()
    assert (alone(values, weekly=False)[0][0, morning] <= 1).all()


def test_only_a_rhythm_of_the_week_is_worth_a_profile() -> None:
    core = StreamingCore()
    found = told(core, rows(), np.arange(4))
    assert used(core) == {WORKING: True}
    assert (found[2 * WEEK :, 0, WORKING] <= 1).all()
    plain = told(StreamingCore(StreamingSettings(weekly=0)), rows(), np.arange(4))
    others = [DAILY, FLAT, WHOLE_DAYS]
    assert found[:, :, others].tobytes() == plain[:, :, others].tobytes(), "it was never used"
    assert found[: 2 * WEEK].tobytes() == plain[: 2 * WEEK].tobytes(), "nor before fourteen days"


def test_one_odd_week_is_forgotten_and_two_are_a_new_rhythm() -> None:
    """The last weekend has the load of a working day, then the last two, then the last three.

    What is far counts as five scales at most, so it takes some weeks.
    """
    saturday = 48 + 12  # noon; the hours of the week begin on a Thursday
    known = []
    for odd in ((), (5,), (4, 5), (3, 4, 5)):
        values, at = working(6), times(6)
        for number in odd:
            there = weekend(at) & (np.arange(6 * WEEK) // WEEK == number)
            values[there] += office(at[there])
        _, profile = alone(values)
        noon = week._get(profile, week.PROFILE, saturday % 168)
        known.append(noon - week._get(profile, week.PROFILE, saturday % 168 - 12))
    none, one, two, three = known
    assert abs(one - none) < 0.1 * LOAD
    assert two > none + 0.2 * LOAD
    assert three > two + 0.1 * LOAD


def test_the_pass_over_many_series_is_the_recipe() -> None:
    """Where rounding turns a comparison two runs part for a while, so not each single sample is the same."""
    core = StreamingCore()
    found = told(core, rows()[:, [WORKING]], np.array([17]))[:, :3, 0].T
    wanted, profile = alone(rows()[:, WORKING])
    late = slice(3 * WEEK, None)
    for one, other in zip(found[1:], wanted[1:3], strict=True):
        assert np.percentile(np.abs(one - other)[late], 99) < 0.02 * LOAD
    own = core.snapshot(18)["weeks"].view(np.float32)[0]
    assert own[week.STATUS] == profile[week.STATUS] == week.USED
    assert own[week.WEEK_ERROR] == pytest.approx(profile[week.WEEK_ERROR], rel=0.02)
    for hour in range(168):
        mine, other = (week._get(each, week.PROFILE, hour) for each in (own, profile))
        assert mine == pytest.approx(other, abs=0.02 * LOAD)


def test_neither_a_restart_nor_the_order_nor_a_renumbering_changes_a_bit() -> None:
    given, ids = np.hstack([rows(), rows()[:, ::-1]]), np.arange(8)
    plain, moved = StreamingCore(), StreamingCore()
    wanted, found = told(plain, given, ids), []
    for start, end in ((0, 300), (300, WEEK + 5), (WEEK + 5, 3 * WEEK), (3 * WEEK, 5 * WEEK)):
        new_ids = np.random.default_rng(start).permutation(50)
        moved.remap(IdRemap(np.r_[new_ids[:40], np.full(10, -1)], 50))
        ids = new_ids[ids] if start else new_ids[:8]
        order = np.random.default_rng(end).permutation(8)
        part = told(moved, given[start:end, order], ids[order], start)
        found.append(part[:, :, np.argsort(order)])
        kept, moved = moved.snapshot(50), StreamingCore()
        moved.restore(kept, 50)
        ids, moved = _first(moved, ids)
    assert np.concatenate(found).tobytes() == wanted.tobytes()


def _first(core: StreamingCore, ids: Ints) -> tuple[Ints, StreamingCore]:
    """Number these 0 to 7 again."""
    new_ids = np.full(50, -1)
    new_ids[ids] = np.arange(len(ids))
    core.remap(IdRemap(new_ids, 50))
    return np.arange(len(ids)), core


def test_there_are_no_more_profiles_than_the_setting_says() -> None:
    given = np.array([working(3, seed) for seed in range(6)]).T
    for most, owners in ((0, []), (2, [0, 1]), (6, list(range(6)))):
        core = StreamingCore(StreamingSettings(weekly=most))
        told(core, given, np.arange(6))
        assert used(core) == dict.fromkeys(owners, True)
        smaller = StreamingCore(StreamingSettings(weekly=1))
        smaller.restore(core.snapshot(6), 6)
        assert list(used(smaller)) == owners[:1]


def test_a_series_with_a_profile_costs_at_most_a_kibibyte() -> None:
    core = StreamingCore(StreamingSettings(weekly=48))
    told(core, np.array([working(1, seed) for seed in range(48)]).T[: 4 * DAY], np.arange(48))
    assert core.bytes <= 1024 * 48
    assert len(used(core)) == 48


def test_a_restart_of_what_is_watched_leaves_the_week() -> None:
    core, given = StreamingCore(), rows()[:, [WORKING]]
    told(core, given[: 3 * WEEK], np.array([0]))
    at = np.array([MONDAY + 3 * WEEK * STEP])
    core.judge(Columns(at, np.array([0]), given[3 * WEEK], np.array([True])))
    found = told(core, given[3 * WEEK + 1 :], np.array([0]), 3 * WEEK + 1)
    assert used(core) == {0: True}
    after = slice(WEEK, None)
    assert (found[after, 0, 0] <= 1).all()
    assert np.median((found[:, 2] - found[:, 1])[after]) < 2 * LOAD


def test_profiles_that_are_none_are_refused_and_nothing_changes() -> None:
    core = StreamingCore()
    told(core, rows()[: 4 * DAY], np.arange(4))
    kept = core.snapshot(4)
    wrong = kept["weeks"].copy()
    wrong[:, week.STATUS] = np.float32(9).view(np.uint32)
    for odd in (
        {"weeks": wrong},
        {"weeks": kept["weeks"][:, 1:]},
        {"week_ids": kept["week_ids"] + 4},
        {"week_ids": kept["week_ids"][::-1].copy()},
    ):
        with pytest.raises(ValueError, match="profiles"):
            core.restore({**kept, **odd}, 4)
    assert all(core.snapshot(4)[name].tobytes() == value.tobytes() for name, value in kept.items())
