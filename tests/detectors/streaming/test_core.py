"""The pass over all series: the scalar recipe for each, whoever stands beside it and in whatever order."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.contract import Columns
from detectors.streaming import recipe
from detectors.streaming.core import StreamingCore
from detectors.streaming.kernel import packed
from detectors.streaming.settings import StreamingSettings
from detectors.streaming.vector import HOT
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap
from tests.detectors.streaming.judged import judged

START = 1_700_000_000_000
STEP = 60_000
FINITE = st.floats(allow_nan=False, allow_infinity=False)
KINDS = ("noise", "walk", "step", "heavy", "day", "counts", "constant", "tiny", "huge", "glitch")


def story(kind: str, seed: int, length: int) -> Floats:
    random = np.random.default_rng(seed)
    noise, places = random.normal(size=length), np.arange(length)
    stories: dict[str, Floats] = {
        "noise": 50 + noise,
        "walk": np.cumsum(noise),
        "step": noise + np.where(places > length // 2, 9.0, 0.0),
        "heavy": 1e6 * random.standard_t(2, size=length),
        "day": noise + 10 * np.sin(2 * np.pi * places * STEP / 86_400_000),
        "counts": random.poisson(2, length).astype(np.float64),
        "constant": np.full(length, 7.0),
        "tiny": 1e-9 * noise,
        "huge": 1e15 * (3 + noise),
        "glitch": np.where(places % 150 == 149, 1e9, 50 + noise),
    }
    # What the state holds: the recipe's values have more digits than that.
    return stories[kind].astype(np.float32).astype(np.float64)


def told(core: StreamingCore, rows: Floats, ids: Ints, start: int = 0) -> NDArray[np.float64]:
    """`[samples, 4, series]` of rows `[samples, series]`, the first of which is the `start`-th."""
    return judged(core, rows, ids, START + (start + np.arange(len(rows))) * STEP)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1_000))
def test_each_step_is_the_recipes(seed: int) -> None:
    """From the recipe's state, one sample: results and state to 1e-3, for here all is float32.

    From the state, because the recipe has comparisons: where rounding turns one, two runs part for good.
    """
    own, length = StreamingSettings(), 400
    rows = np.array([story(kind, seed + place, length) for place, kind in enumerate(KINDS)]).T
    states = np.zeros((len(KINDS), len(recipe.STATE)), np.float32)
    ids, params = np.random.default_rng(seed).permutation(40)[: len(KINDS)], recipe.params_of(own, STEP)
    apart = total = 0
    for place, row in enumerate(rows):
        time = START + place * STEP
        core = StreamingCore(own)
        if place:
            whole = core.snapshot(40)
            before = whole["state"]
            before[ids] = packed(states, STEP, time - STEP)
            core.restore({**whole, "state": before}, 40)
        found = told(core, row[None], ids, place)[0]
        hour = time // 3_600_000 % 168
        wanted = [recipe.step(state, hour, value, params) for state, value in zip(states, row, strict=True)]
        after = core.snapshot(40)["state"][ids]
        near = np.r_[close(found, np.array(wanted).T), same(after, packed(states, STEP, time)).T]
        apart, total = apart + int((~near).sum()), total + near.size
    assert apart < total / 1_000


def close(found: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.isclose(found, wanted, rtol=1e-3, atol=1e-5, equal_nan=True)
    return near


def same(found: NDArray[np.uint32], wanted: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Numbers that are near one another; of what are two in one, the bits but for the last of each."""
    near = close(found.view(np.float32), wanted.view(np.float32))
    two_halves = [
        np.isclose(one.view(np.float32), other.view(np.float32), rtol=0.01, atol=1e-5)
        for one, other in ((found & 0xFFFF0000, wanted & 0xFFFF0000), (found << 16, wanted << 16))
    ]
    two = [HOT.index(name) for name in HOT if name.endswith("form")]
    for columns in (two, slice(-12, None), slice(-12 - 2 * len(recipe.STATISTICS) + 1, -12, 2)):
        near[:, columns] = (two_halves[0] & two_halves[1])[:, columns]
    near[:, len(HOT)] = found[:, len(HOT)] == wanted[:, len(HOT)]
    return near


@given(
    st.lists(st.lists(FINITE, min_size=20, max_size=20), min_size=3, max_size=20), st.permutations(range(20))
)
@settings(max_examples=20, deadline=None)
def test_series_do_not_touch_one_another_in_any_order(rows: list[list[float]], order: list[int]) -> None:
    values, ids = np.array(rows), np.arange(20)
    plain, shuffled = StreamingCore(), StreamingCore()
    one = told(plain, values, ids)
    other = told(shuffled, values[:, order], np.array(order))
    assert one[:, :, order].tobytes() == other.tobytes()
    assert plain.snapshot(20)["state"].tobytes() == shuffled.snapshot(20)["state"].tobytes()
    alone = told(StreamingCore(), values[:, [7]], np.array([123]))
    assert alone[:, :, 0].tobytes() == one[:, :, 7].tobytes()


@given(st.lists(FINITE, min_size=70, max_size=100))
@settings(max_examples=20, deadline=None)
def test_whatever_comes_the_results_are_finite(values: list[float]) -> None:
    found = told(StreamingCore(), np.array(values)[:, None], np.array([3]))[60:, :, 0]
    assert np.isfinite(found).all()
    assert ((found[:, 0] >= 0) & (found[:, 0] <= 100)).all()
    assert (found[:, 1] <= found[:, 2]).all()


def test_results_are_nan_until_the_warm_up_is_over() -> None:
    found = told(StreamingCore(StreamingSettings(warm_up=30)), story("noise", 1, 40)[:, None], np.array([0]))
    assert np.isnan(found[:30]).all()
    assert np.isfinite(found[30:]).all()


def test_the_hour_of_each_sample_is_its_own() -> None:
    """Samples of one block on both sides of a full hour, in one call."""
    together, alone = StreamingCore(), [StreamingCore() for _ in range(6)]
    times = START // 3_600_000 * 3_600_000 + np.array([-1, 0, 1, 3_599_999, 3_600_000, -3_600_001])
    for place in range(100):
        values = np.full(6, float(place % 7))
        judged = together.judge(Columns(times + place * 3_600_000, np.arange(6), values))
        for number, core in enumerate(alone):
            one = core.judge(Columns(times[[number]] + place * 3_600_000, np.array([0]), values[:1]))
            assert one.level.tobytes() == judged.level[number].tobytes()


def test_state_grows_follows_a_renumbering_and_comes_back() -> None:
    rows = np.array([story("day", seed, 200) for seed in range(40)]).T
    steady, moved = StreamingCore(), StreamingCore()
    steady.reserve(40)  # the other grows as the series come
    for upto in (1, 17, 40):
        for core in (steady, moved):
            told(core, rows[:60, :upto], np.arange(upto))
    new_ids = np.random.default_rng(1).permutation(50)[:40]
    new_ids[5] = -1
    moved.remap(IdRemap(new_ids, 50))
    kept = np.flatnonzero(new_ids >= 0)
    back = StreamingCore()
    back.restore(moved.snapshot(50), 50)
    for core in (moved, back):
        found = told(core, rows[60:, kept], new_ids[kept], 60)
        assert found.tobytes() == told(_copy(steady), rows[60:, kept], kept, 60).tobytes()
    gone = np.setdiff1d(np.arange(50), new_ids)
    assert (moved.snapshot(50)["state"][gone] == StreamingCore().snapshot(1)["state"]).all()


def _copy(core: StreamingCore) -> StreamingCore:
    copy = StreamingCore()
    copy.restore(core.snapshot(40), 40)
    return copy


def test_a_state_that_does_not_fit_is_refused_and_nothing_changes() -> None:
    core = StreamingCore()
    told(core, story("noise", 1, 10)[:, None], np.array([0]))
    before = core.snapshot(1)["state"]
    for wrong in (before[:, :-1], before[:0], before.astype(np.float64)):
        with pytest.raises(ValueError, match="not"):
            core.restore({"state": wrong}, 1)
    with pytest.raises(KeyError):
        core.restore({}, 1)
    assert core.snapshot(1)["state"].tobytes() == before.tobytes()


@given(st.integers(0, 63), st.sampled_from([np.nan, np.inf, -np.inf, -1e38, 3e38, -7.0, 0.0, 1e-30]))
@settings(max_examples=60, deadline=None)
def test_a_damaged_number_is_refused_or_does_no_harm(field: int, odd: float) -> None:
    core = StreamingCore()
    rows = np.array([story("noise", seed, 75) for seed in range(3)]).T
    told(core, rows[:70], np.arange(3))
    kept = core.snapshot(3)
    kept["state"][1, field] = np.float32(odd).view(np.uint32)
    with contextlib.suppress(ValueError):
        core.restore(kept, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = told(core, rows[70:], np.arange(3), 70)
    assert np.isfinite(found[:, :, [0, 2]]).all()
    assert np.isfinite(found).all() or field == recipe.COUNT, "one that has to warm up again says nothing"


@settings(max_examples=4, deadline=None)
@given(st.sampled_from(KINDS), st.lists(FINITE, max_size=30))
def test_what_a_series_can_come_to_is_not_taken_for_damaged(kind: str, odd: list[float]) -> None:
    core = StreamingCore()
    values = np.r_[story(kind, 1, 90), odd, story(kind, 2, 90)]
    for place, value in enumerate(values):
        told(core, np.array([[value]]), np.array([1]), place)
        core.restore(core.snapshot(2), 2)


def test_one_pass_serves_all_who_ask_for_the_same_columns() -> None:
    core = StreamingCore()
    columns = Columns(np.array([START]), np.array([0]), np.array([1.0]))
    assert core.judge(columns) is core.judge(columns)
    assert core.snapshot(1)["state"][0, 0] == np.float32(1).view(np.uint32), "counted once"


def test_a_series_costs_at_most_256_bytes() -> None:
    core = StreamingCore()
    core.reserve(16_000)
    assert core.bytes <= 256 * 16_000


def test_no_row_of_the_state_lies_across_two_cache_lines() -> None:
    core = StreamingCore()
    for size in (1, 100, 3_000):
        core.reserve(size)
        assert core._blocks._blocks.ctypes.data % 64 == 0
