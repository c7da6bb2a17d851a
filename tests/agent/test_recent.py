"""Accepted frames, kept for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.reading import Outgoing
from agent.recent import KEPT_BYTES, KEPT_SECONDS, SLACK, Recent


def frame(at: int, size: int = 10) -> Outgoing:
    return Outgoing(b"key", b"", bytes(size), at)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 300_000)), max_size=60))
def test_it_is_bounded_in_time_and_bytes_and_keeps_the_newest(rows: list[tuple[float, int]]) -> None:
    recent, now, all_of_them = Recent(), 0.0, list[tuple[float, Outgoing]]()
    for number, (pause, size) in enumerate(rows):
        now += pause
        all_of_them.append((now, frame(10_000 + number, size)))
        recent.add([all_of_them[-1][1]], now)
        kept = recent.since(0)
        assert sum(len(each.data) for each in kept) == recent.bytes <= KEPT_BYTES
        assert kept == [each for _, each in all_of_them[-len(kept) :]] if kept else True
        young = [each for came, each in all_of_them if now - came <= KEPT_SECONDS]
        assert len(kept) <= len(young)
        if sum(len(each.data) for each in young) <= KEPT_BYTES:
            assert kept == young


def test_large_frames_and_schemas_that_change_are_bounded() -> None:
    recent = Recent()
    for turn in range(100):
        recent.add([frame(turn, 50_000)], 0.0)
    assert len(recent.since(-SLACK)) == KEPT_BYTES // 50_000
    for turn in range(100):
        recent.add([Outgoing(b"key", bytes(50_000), b"", turn)], 0.0)
    assert len(recent.since(-SLACK)) == KEPT_BYTES // 50_000
    same = bytes(50_000)
    for turn in range(100):
        recent.add([Outgoing(b"key", same, b"x", turn)], 0.0)
    assert len(recent.since(-SLACK)) >= 100


def test_what_a_window_that_ends_then_may_lack() -> None:
    recent = Recent()
    recent.add([frame(at) for at in range(1_000, 11_000, 1_000)], 5.0)
    assert [each.at for each in recent.since(10_000)] == [8_000, 9_000, 10_000]
    assert len(recent.since(0)) == 10
    assert recent.since(20_000) == []
