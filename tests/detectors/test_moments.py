"""Moments: bounded work after a pause, a clock that is set back, and marks of restarts that are not lost."""

from __future__ import annotations

import numpy as np

from detectors.contract import Columns
from detectors.moments import MOST, Moments
from telemetry.bits import Ints

STEP = 5_000
NOW = 1_700_000_000_000
HOUR = 3_600_000


def moments() -> Moments:
    made = Moments(STEP, 2_000)
    made.reserve(4)
    return made


def offered(to: Moments, at: int, ids: Ints, restarted: bool = False) -> None:
    columns = Columns(np.full(len(ids), at), ids, np.full(len(ids), float(at)), np.full(len(ids), restarted))
    to.offer(columns, np.ones(4, np.bool_))


def due(of: Moments, now: int) -> list[int]:
    return [moment.at for moment in of.due(now)]


def test_what_was_kept_for_hours_is_judged_over_some_steps_and_none_of_it_is_lost() -> None:
    backlog = moments()
    for at in range(NOW, NOW + 6 * HOUR, STEP):
        offered(backlog, at, np.array([0]))
    now, steps = NOW + 6 * HOUR, []
    while told := due(backlog, now):
        steps.append(told)
        now += 1_000
    assert max(len(told) for told in steps) == MOST
    assert [at for told in steps for at in told] == list(range(NOW, NOW + 6 * HOUR, STEP))


def test_a_long_pause_is_one_moment() -> None:
    """Without samples there is none, however long it lasts."""
    paused = moments()
    offered(paused, NOW, np.array([0]))
    offered(paused, NOW + 1000 * HOUR, np.array([0]))
    assert due(paused, NOW + 1000 * HOUR + 60_000) == [NOW, NOW + 1000 * HOUR]


def test_after_the_clock_was_set_back_moments_go_on_at_once() -> None:
    clock = moments()
    offered(clock, NOW + HOUR, np.array([0, 1]))
    assert due(clock, NOW + HOUR + 2_000) == [NOW + HOUR]
    for tick in range(1, 4):
        at = NOW + tick * STEP
        offered(clock, at, np.array([1]))
        (moment,) = clock.due(at + 2_000)
        assert moment.at == at
        assert np.isnan(moment.fresh(np.array([0]), HOUR)), "what came later is not known"
        assert moment.fresh(np.array([1]), HOUR) == [at]


def test_the_mark_of_a_restart_comes_with_the_next_moment_over_a_restart_of_ours() -> None:
    marked = moments()
    offered(marked, NOW, np.array([0]))
    due(marked, NOW + 2_000)
    offered(marked, NOW - 1, np.array([2]), restarted=True)  # too late for its moment
    assert due(marked, NOW + 3_000) == []
    offered(marked, NOW + STEP, np.array([1]), restarted=True)
    offered(marked, NOW + 2 * STEP, np.array([1]))
    resumed = moments()
    resumed.restore(marked.snapshot(4), 4)
    assert [moment.restarted.tolist() for moment in resumed.due(NOW + 3 * STEP)] == [[1, 2], []]
