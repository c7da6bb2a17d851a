"""The window's promises one by one: what is joined, refused, counted, and never lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from telemetry.bits import STALE_NAN, is_stale
from telemetry.selection import StaleSelection
from telemetry.window import METRICS, LimitExceeded, Selection, Target, Window, WindowLimits

NOW = 1_700_000_000_000
SECOND = 1_000


def named(name: str) -> list[Matcher]:
    return [Matcher("__name__", Op.EQUAL, name)]


def add(window: Window, target: Target, count: int, name: str = "m") -> NDArray[np.int64]:
    labels = [Labels({"__name__": name, "target": target.key, "n": str(n)}) for n in range(count)]
    return np.array([window.series(target, these, "gauge") for these in labels])


def only(window: Window, name: str = "m") -> Selection:
    (selection,) = window.select(named(name))
    return selection


def column(window: Window, place: int = 0, name: str = "m") -> list[tuple[int, float]]:
    """(time since NOW, value) of all samples of a series."""
    times, values, present = only(window, name).range(NOW - 10**9, NOW + 10**9)
    here = present[:, place]
    return list(zip((times[here, place] - NOW).tolist(), values[here, place].tolist(), strict=True))


@pytest.fixture
def window() -> Window:
    return Window(retention=60 * SECOND)


@pytest.fixture
def target(window: Window) -> Target:
    return window.target("node", 5 * SECOND)


def test_two_requests_of_one_scrape_share_a_slot(window: Window, target: Target) -> None:
    ids = add(window, target, 4)
    window.append(target, NOW, ids[:2], np.array([1.0, 2.0]))
    window.append(target, NOW, ids[2:], np.array([3.0, 4.0]))
    times, values, present = only(window).range(NOW - 1, NOW)
    assert values.tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert times.tolist() == [[NOW] * 4]
    assert present.all()


def test_what_was_not_scraped_is_missing_and_not_the_value_of_a_lap_ago(
    window: Window, target: Target
) -> None:
    ids = add(window, target, 2)
    for lap in range(20):
        both = lap < 15
        chosen = ids if both else ids[:1]
        window.advance(NOW + lap * 5_000)
        window.append(target, NOW + lap * 5_000, chosen, np.full(len(chosen), float(lap)))
    assert [value for _, value in column(window, 1)] == [6.0 + n for n in range(9)]


def test_first_of_two_different_samples_wins_and_the_second_is_counted(
    window: Window, target: Target
) -> None:
    ids = add(window, target, 1)
    first = window.append(target, NOW, np.repeat(ids, 3), np.array([1.0, 2.0, 1.0]))
    again = window.append(target, NOW, ids, np.array([3.0]))
    same = window.append(target, NOW, ids, np.array([1.0]))
    assert (first.accepted, first.refused) == (2, {"duplicate": 1})
    assert (again.accepted, again.refused) == (0, {"duplicate": 1})
    assert (same.accepted, same.refused) == (1, {})
    assert column(window) == [(0, 1.0)]
    assert window.stats.refused == {"duplicate": 2}


def test_late_sample_is_put_in_order_and_leaves_the_head(window: Window, target: Target) -> None:
    ids = add(window, target, 1)
    for offset in (0, 10_000, 5_000):
        result = window.append(target, NOW + offset, ids, np.array([float(offset)]))
    assert (result.accepted, result.late) == (1, 1)
    assert column(window) == [(0, 0.0), (5_000, 5_000.0), (10_000, 10_000.0)]
    times, values = window.last(ids)
    assert (times[0], values[0]) == (NOW + 10_000, 10_000.0)


def test_too_old_and_too_far_ahead_are_refused_and_counted(window: Window, target: Target) -> None:
    ids = add(window, target, 3)
    window.advance(NOW)
    values = np.ones(3)
    assert window.append(target, NOW - 60_000, ids, values).refused == {"too_old": 3}
    assert window.append(target, NOW + 600_001, ids, values).refused == {"too_far_ahead": 3}
    times = np.array([NOW - 60_000, NOW + 600_001, NOW])
    result = window.append_each(target, times, ids, values)
    assert (result.accepted, result.refused) == (1, {"too_old": 1, "too_far_ahead": 1})


def test_a_sample_far_ahead_does_not_make_the_others_old(window: Window, target: Target) -> None:
    ids = add(window, target, 1)
    window.advance(NOW)
    window.append(target, NOW + 600_000, ids, np.ones(1))
    assert window.append(target, NOW, ids, np.ones(1)).accepted == 1


def test_without_a_clock_age_is_measured_against_the_newest_sample(window: Window, target: Target) -> None:
    ids = add(window, target, 1)
    window.append(target, NOW, ids, np.ones(1))
    assert window.append(target, NOW - 60_000, ids, np.ones(1)).refused == {"too_old": 1}


def test_ids_of_nobody_are_refused_and_harm_nothing(window: Window, target: Target) -> None:
    ids = add(window, target, 2)
    wrong = np.array([ids[0], -1, 99, 10**12])
    result = window.append(target, NOW, wrong, np.arange(4.0))
    assert (result.accepted, result.refused) == (1, {"unknown_series": 3})
    window.drop_target("node")
    assert window.append(window.target("node", 5_000), NOW, ids, np.ones(2)).refused == {"unknown_series": 2}
    assert window.append_each(target, np.full(2, NOW), ids, np.ones(2)).refused == {"unknown_series": 2}


def test_caller_may_reuse_his_arrays(window: Window, target: Target) -> None:
    ids, values = add(window, target, 1), np.array([1.0])
    journal = window.follow()
    window.append(target, NOW, ids, values)
    values[0] = 2.0
    assert column(window) == [(0, 1.0)]
    assert journal.drain()[2].tolist() == [1.0]


def test_stale_marker_ends_all_living_series(window: Window, target: Target) -> None:
    ids = add(window, target, 3)
    window.append(target, NOW, ids[:2], np.ones(2))
    window.mark_stale(target, NOW + 5_000, ids[:1])
    assert window.mark_stale(target, NOW + 6_000).accepted == 1  # the first is stale, the third never lived
    assert is_stale(window.last(ids[:2])[1]).all()
    present = only(window).instant(NOW + 6_000, 60_000)[2]
    assert present.tolist() == [False, False, False]
    assert only(window).instant(NOW + 4_999, 60_000)[2].tolist() == [True, True, False]


def test_series_limit_and_its_reason() -> None:
    window = Window(limits=WindowLimits(series=2))
    target = window.target("t", 1_000)
    add(window, target, 2)
    with pytest.raises(LimitExceeded, match="holds 2 series already") as caught:
        add(window, target, 3)
    assert caught.value.reason == "series_limit"
    assert window.series_count == 2


def test_past_the_memory_budget_samples_are_refused_and_none_is_lost() -> None:
    window = Window(retention=600 * SECOND, limits=WindowLimits(memory=1 << 18))
    target = window.target("t", 10 * SECOND)
    ids = add(window, target, 100)
    window.advance(NOW + 300 * SECOND)
    stored = []
    for second in range(300):
        result = window.append(target, NOW + second * SECOND, ids, np.full(100, float(second)))
        assert result.accepted in (0, 100)
        if result.accepted:
            stored.append((second * SECOND, float(second)))
    assert window.stats.refused == {"memory": (300 - len(stored)) * 100}
    assert len(stored) < 300
    assert column(window, 57) == stored
    assert window.bytes <= 1 << 18
    other = window.target("other", 10 * SECOND)
    with pytest.raises(LimitExceeded, match="no memory"):
        add(window, other, 10_000)


def test_a_fast_sender_costs_only_its_own_memory(window: Window) -> None:
    slow, fast = window.target("slow", 5_000), window.target("fast", 5_000)
    add(window, slow, 100)
    ids = add(window, fast, 1)
    before = window.bytes
    for tick in range(600):
        window.append(fast, NOW + tick * 100, ids, np.ones(1))
    assert window.registry.growths > 0
    assert window.bytes - before < 200_000
    assert {len(selection.ids) for selection in window.select(named("m"))} == {100, 1}


def test_own_times_in_a_scrape_get_a_column_of_their_own(window: Window, target: Target) -> None:
    ids = add(window, target, 2)
    window.append(target, NOW, ids, np.ones(2))
    window.append_each(target, np.array([NOW + 1_234]), ids[1:], np.array([2.0]))
    window.append(target, NOW + 5_000, ids, np.full(2, 3.0))
    shared, own = sorted(window.select(named("m")), key=lambda s: s.ids[0])
    assert shared.labels[0].value("n") == "0"
    times, values, present = own.range(NOW - 1, NOW + 5_000)
    assert (times[:, 0] - NOW).tolist() == [0, 1_234, 5_000]
    assert values[present].tolist() == [1.0, 2.0, 3.0]
    assert (shared.interval, own.interval) == (5_000, 5_000)


def test_samples_of_one_request_are_taken_in_the_order_of_time(window: Window) -> None:
    remote = window.target("rw", 0)
    ids, journal = add(window, remote, 2), window.follow()
    times = NOW + np.array([300, 100, 200, 100])
    result = window.append_each(remote, times, ids[[0, 0, 1, 1]], np.array([3.0, 1.0, 2.0, 1.0]))
    assert (result.accepted, result.late) == (4, 0)
    times, sids, values = journal.drain()
    assert values[sids == ids[0]].tolist() == [1.0, 3.0]
    assert values[sids == ids[1]].tolist() == [1.0, 2.0]


def test_late_samples_keep_their_order_through_a_move(window: Window, target: Target) -> None:
    ids = add(window, target, 2)
    for offset in (0, 10_000, 5_000):
        window.append(target, NOW + offset, ids, np.array([offset, 0.0]))
    window.target("node", 1_000)  # another interval: the series move to another ring
    assert column(window) == [(0, 0.0), (5_000, 5_000.0), (10_000, 10_000.0)]
    window.append(target, NOW + 2_500, ids, np.array([2_500.0, 0.0]))
    window.append_each(target, np.array([NOW + 11_111]), ids[:1], np.array([11_111.0]))
    own = min(window.select(named("m")), key=lambda selection: int(selection.ids[0]))
    times = own.range(NOW - 1, NOW + 20_000)[0][:, 0] - NOW
    assert times.tolist() == [0, 2_500, 5_000, 10_000, 11_111]


def test_journal_forgets_the_dropped_and_follows_the_others(window: Window, target: Target) -> None:
    other, journal = window.target("other", 5_000), window.follow()
    gone, kept = add(window, target, 2), add(window, other, 1)
    window.append(target, NOW, gone, np.ones(2))
    window.append(other, NOW, kept, np.full(1, 7.0))
    window.drop_target("node")
    window.compact(NOW)
    times, ids, values = journal.drain()
    assert (times.tolist(), ids.tolist(), values.tolist()) == ([NOW], [0], [7.0])


def test_a_journal_that_nobody_drains_stays_within_its_limit(window: Window, target: Target) -> None:
    ids, journal = add(window, target, 10), window.follow()
    journal.limit = 25
    for tick in range(5):
        window.append(target, NOW + tick, ids, np.full(10, float(tick)))
    assert (journal.pending, journal.lost) == (20, 30)
    assert journal.drain()[2].tolist() == [3.0] * 10 + [4.0] * 10


def test_two_targets_may_send_one_series(window: Window, target: Target) -> None:
    labels = Labels({"__name__": "m"})
    other = window.target("other", 5_000)
    first, second = window.series(target, labels), window.series(other, labels)
    assert first == second
    window.append(target, NOW, np.array([first]), np.array([1.0]))
    window.append(other, NOW + 100, np.array([first]), np.array([2.0]))
    assert column(window) == [(0, 1.0), (100, 2.0)]


def test_dropped_target_is_gone_from_every_answer(window: Window, target: Target) -> None:
    kept = window.target("kept", 5_000)
    ids, left = add(window, target, 5), add(window, kept, 3)
    window.append(target, NOW, ids, np.ones(5))
    window.append(kept, NOW, left, np.array([7.0, 8.0, 9.0]))
    assert window.drop_target("node") == 5
    assert window.drop_target("node") == 0
    assert window.series_count == 3
    assert only(window).instant(NOW, 1_000)[0].tolist() == [7.0, 8.0, 9.0]


def test_select_answers_from_its_cache_until_series_come_or_go(window: Window, target: Target) -> None:
    ids = add(window, target, 2)
    found = window.select(named("m"))
    window.append(target, NOW, ids, np.ones(2))
    assert window.select(named("m")) is found
    add(window, target, 3)
    assert window.select(named("m")) is not found
    found = window.select(named("m"))
    window.drop_target("node")
    assert window.select(named("m")) == []


def test_selection_from_before_a_compaction_says_so(window: Window, target: Target) -> None:
    add(window, target, 2)
    selection = only(window)
    window.compact(NOW)
    with pytest.raises(StaleSelection, match="select again"):
        selection.range(NOW - 1, NOW)


def test_compaction_with_slack_leaves_ids_alone(window: Window, target: Target) -> None:
    ids = add(window, target, 10)
    window.append(target, NOW, ids[1:], np.ones(9))
    numbering = window.numbering
    assert window.compact(NOW, slack=0.2) is None
    assert (window.series_count, window.size, window.numbering) == (9, 10, numbering)
    remap = window.compact(NOW)
    assert remap is not None
    assert remap.apply(ids).tolist() == [-1, *range(9)]
    assert window.numbering == numbering + 1
    assert window.compact(NOW) is None


def test_a_target_that_left_takes_its_ring_with_it(window: Window) -> None:
    for turn in range(50):
        gone = window.target(f"pod-{turn}", 5_000)
        ids = np.array([window.series(gone, Labels({"__name__": "m", "pod": str(turn)}))])
        window.append(gone, NOW + turn, ids, np.ones(1))
        window.compact(NOW + turn + window.retention)
        assert not window.registry.target_of
    (cadence,) = window.storage.cadences
    assert len(cadence.free) == len(cadence.count) < 50


def test_what_is_known_by_name(window: Window, target: Target) -> None:
    window.series(target, Labels({"__name__": "b", "x": "1"}), "counter")
    window.series(target, Labels({"__name__": "a", "y": "2"}))
    assert window.metric_names() == ["a", "b"]
    assert (window.type_of("b"), window.type_of("a"), window.type_of("z")) == (
        "counter",
        "unknown",
        "unknown",
    )


def test_samples_are_those_that_are_declared(window: Window, target: Target) -> None:
    ids = add(window, target, 1)
    window.append(target, NOW, ids, np.ones(1))
    window.append(target, NOW, ids, np.zeros(1))
    assert {sample.name for sample in window.samples()} == {metric.name for metric in METRICS}
    values = {sample.name: sample.value for sample in window.samples()}
    assert values["fleetowl_window_samples_appended_total"] == 1
    assert values["fleetowl_window_bytes"] == window.bytes


def test_empty_batches_and_empty_answers(window: Window, target: Target) -> None:
    none = np.empty(0, np.int64)
    assert window.append(target, NOW, none, np.empty(0)).accepted == 0
    assert window.append_each(target, none, none, np.empty(0)).accepted == 0
    assert window.append(window.target("rw", 0), NOW, none, np.empty(0)).accepted == 0
    assert window.select(named("m")) == []
    add(window, target, 2)
    times, values, present = only(window).range(NOW - 5_000, NOW)
    assert times.shape == values.shape == present.shape == (0, 2)


def test_nan_of_the_target_is_present(window: Window, target: Target) -> None:
    ids = add(window, target, 1)
    window.append(target, NOW, ids, np.array([np.nan]))
    values, _, present = only(window).instant(NOW, 1_000)
    assert present[0]
    assert np.isnan(values[0])
    window.append(target, NOW + 1, ids, np.array([STALE_NAN]))
    assert not only(window).instant(NOW + 1, 1_000)[2][0]


@settings(max_examples=40, deadline=None)
@given(
    jitter=st.lists(st.integers(-2_000, 2_000), min_size=80, max_size=80),
    targets=st.integers(1, 3),
    step=st.integers(1, 1_000),
)
def test_jitter_of_twice_the_interval_loses_nothing_in_retention(
    jitter: list[int], targets: int, step: int
) -> None:
    window = Window(retention=20 * SECOND)
    sent: dict[int, dict[int, float]] = {n: {} for n in range(targets)}
    ids = [add(window, window.target(str(n), SECOND), 2, f"m{n}") for n in range(targets)]
    for tick, noise in enumerate(jitter):
        now = NOW + tick * step
        window.advance(now)
        for n in range(targets):
            time = now + noise
            value = np.array([tick, -tick], np.float64)
            if window.append(window.target(str(n), SECOND), time, ids[n], value).accepted:
                sent[n].setdefault(time, float(tick))
    for n in range(targets):
        kept = sorted((t - NOW, v) for t, v in sent[n].items() if t > now - 20 * SECOND)
        assert [pair for pair in column(window, 0, f"m{n}") if pair[0] + NOW > now - 20 * SECOND] == kept


def test_the_window_forgets_what_it_is_told_to_forget() -> None:
    window = Window()
    target = window.target("a", 1000)
    window.series(target, Labels({NAME: "up", "job": "a"}))
    kept, asked = [Matcher(NAME, Op.EQUAL, "up")], [Matcher("job", Op.EQUAL, "a")]
    before = window.select(kept)
    noted: set[tuple[Matcher, ...]] = set()
    with window.noting(noted):
        window.select(kept)
        window.select(asked)
    assert noted == {tuple(asked)}, "what was there before is not the asker's"
    window.forget(noted)
    assert window.select(kept) is before
    assert list(window._selected) == [tuple(kept)]


def test_a_search_remembers_nothing_and_stays_true() -> None:
    window = Window()
    target = window.target("a", 1000)
    ids = [window.series(target, Labels({NAME: "up", "job": str(number)})) for number in range(3)]
    window.append(target, NOW, np.array(ids), np.ones(3))
    found, labels = window.search([Matcher(NAME, Op.EQUAL, "up")])
    window.drop_target("a")
    window.compact(NOW)
    assert [labels[sid].value("job") for sid in found.tolist()] == ["0", "1", "2"]
    assert window._selected == {}


def test_the_oldest_sample_is_known() -> None:
    window = Window()
    assert window.oldest() is None
    target = window.target("a", 1000)
    ids = np.array([window.series(target, Labels({NAME: "up"}))])
    for at in (NOW + 2000, NOW + 1000, NOW + 5000):
        window.append(target, at, ids, np.ones(1))
    apart = window.target("b", 0)
    other = np.array([window.series(apart, Labels({NAME: "down"}))])
    window.append_each(apart, np.array([NOW + 500]), other, np.ones(1))
    assert window.oldest() == NOW + 500
    window.drop_target("b")
    assert window.oldest() == NOW + 1000
