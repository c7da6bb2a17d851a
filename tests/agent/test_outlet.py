"""The way out for events: storms are thinned, first ones pass, samples stay behind no frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.event import Ahead, Event
from agent.outlet import MOST_A_SECOND, MOST_LINES, MOST_OF_TYPE, Outlet, after
from model.labels import NAME, Labels
from wire.event import MOST_AHEAD, pack_event, unpack_event


def event(gpu: int = 0, kind: str = "xid", xid: int = 63, **more: object) -> Event:
    labels = {"node": "n1", "gpu": str(gpu), "xid": str(xid)}
    return Event(kind, labels, xid, 5_000, f"XID {xid}", **more)  # type: ignore[arg-type]


class Timer:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def counts(outlet: Outlet) -> dict[tuple[str, str], float]:
    return {
        (s.name.removeprefix("fleetowl_agent_events_"), s.labels["type"]): s.value for s in outlet.samples()
    }


def test_a_storm_of_one_kind_lets_another_kind_pass() -> None:
    timer = Timer()
    outlet = Outlet("n1", timer)
    assert [outlet.admit(event()) for _ in range(500)].count(True) == 1
    assert outlet.admit(event(xid=79)), "the one that matters"
    assert outlet.admit(event(gpu=1))
    assert counts(outlet) == {("total", "xid"): 3, ("dropped_total", "xid"): 499}
    timer.now += 1
    assert outlet.admit(event())


def test_no_more_than_ten_leave_within_any_second() -> None:
    timer = Timer()
    outlet, left = Outlet("n1", timer), list[float]()
    for turn in range(200):
        timer.now = 100 + turn * 0.037
        if outlet.admit(event(xid=turn)):
            left.append(timer.now)
    assert len(left) > 60
    assert all(later - earlier >= 1 for earlier, later in zip(left, left[MOST_A_SECOND:], strict=False))


def test_all_gpus_of_a_node_may_be_lost_at_once_beside_their_xids() -> None:
    outlet = Outlet("n1", Timer())
    assert all(outlet.admit(event(gpu, "xid", 79)) for gpu in range(8))
    for kind in ("gpu_lost", "gpu_back", "probe_hung"):
        assert all(outlet.admit(event(gpu, kind)) for gpu in range(8)), kind
        assert not outlet.admit(event(0, kind))
        assert [outlet.admit(event(gpu, kind)) for gpu in range(200)].count(True) == MOST_OF_TYPE[kind] - 8


def test_the_log_says_also_what_does_not_leave_but_not_the_same_again() -> None:
    timer = Timer()
    outlet = Outlet("n1", timer)
    for xid in range(MOST_A_SECOND + 5):
        assert outlet.is_news(event(xid=xid))
        assert outlet.admit(event(xid=xid)) == (xid < MOST_A_SECOND)
    assert not outlet.is_news(event(xid=MOST_A_SECOND + 1))
    assert [outlet.is_news(event(xid=xid)) for xid in range(9_999)].count(
        True
    ) == MOST_LINES - MOST_A_SECOND - 5
    timer.now += 1
    assert outlet.is_news(event(xid=MOST_A_SECOND + 1))


XIDS = Labels({NAME: "xids_total"})
OTHER = Labels({NAME: "other"})


def test_a_sample_is_never_behind_the_frame_that_lacks_it() -> None:
    early = (Ahead(XIDS, 0.0, 4_000), Ahead(XIDS, 1.0, 4_990), Ahead(OTHER, 1.0, 5_001))
    assert [one.at for one in after(early, 5_000)] == [4_000, 5_001, 5_001]
    assert [one.at for one in after(early, 4_000)] == [4_000, 4_990, 5_001]
    assert [one.at for one in after(early, 500_000)] == [4_000, 4_990, 5_001], "the clock was set back"
    assert list(after((), 5_000)) == []


@given(
    st.lists(st.tuples(st.sampled_from([XIDS, OTHER]), st.integers(0, 20)), max_size=8), st.integers(0, 20)
)
def test_the_last_of_each_series_is_after_the_frame_and_nothing_else_moves(
    rows: list[tuple[Labels, int]], newest: int
) -> None:
    samples = [Ahead(labels, float(place), at) for place, (labels, at) in enumerate(rows)]
    found = list(after(samples, newest))
    assert [(one.labels, one.value) for one in found] == [(one.labels, one.value) for one in samples]
    for labels in {one.labels for one in samples}:
        places = [place for place, one in enumerate(samples) if one.labels == labels]
        assert found[places[-1]].at == max(samples[places[-1]].at, newest + 1)
        assert all(found[place].at == samples[place].at for place in places[:-1])


def test_what_is_too_large_is_cut_to_what_the_analyzer_takes() -> None:
    outlet = Outlet("n1", Timer())
    ahead = tuple(Ahead(Labels({NAME: "m", "i": str(i)}), 1.0, 6_000) for i in range(MOST_AHEAD + 9))
    labels = {f"l{number}": "x" for number in range(99)}
    record = outlet.record(Event("xid", labels, 79.0, 5_000, "x" * 9_999, ahead), 0)
    assert unpack_event(pack_event(record)) == record
    assert record.node == "n1"
    assert len(record.ahead) == MOST_AHEAD
