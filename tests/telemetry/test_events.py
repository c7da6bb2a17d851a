"""Events at the analyzer: their samples go ahead of the frames and become one series with theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.moment import MINUTE
from telemetry.event_log import MOST, OTHER
from telemetry.frame_ingest import JOB, FrameReceived, FrameReceiver
from telemetry.window import Window, WindowLimits
from wire.event import AheadSample, EventRecord, pack_event
from wire.frames import Frame, Kind, Schema, encode, pack_values, schema_frame

T0 = 1_700_000_000_000
STEP = 1000
Instant = Callable[..., dict[Labels, float]]
Read = Callable[..., dict[Labels, list[tuple[int, float]]]]


def series(name: str, node: str = "n1", **labels: str) -> Labels:
    return Labels({NAME: name, "node": node, **labels})


LOAD, XIDS = series("load"), series("xids_total", xid="79")
BOTH, PLAIN = Schema("n1", (LOAD, XIDS), {"xids_total": "counter"}), Schema("n1", (LOAD,))


class Rig:
    """An agent with one sequence for frames and events, and the receiver that it sends to."""

    def __init__(self, window: Window | None = None) -> None:
        self.window = window or Window()
        self.receiver = FrameReceiver(self.window)
        self.boot = bytes(16)
        self.sequence = 0

    def values(self, at: int, *values: float | None, schema: Schema = BOTH, interval: int = STEP) -> bytes:
        self.sequence += 1
        return encode(schema_frame(schema, self.boot, 0, at, interval)) + encode(
            Frame(
                Kind.VALUES, self.boot, self.sequence, at, interval, schema.schema_hash, pack_values(values)
            )
        )

    def event(self, at: int, *ahead: AheadSample, node: str = "n1", kind: str = "xid") -> bytes:
        self.sequence += 1
        event = EventRecord(kind, {"gpu": "3"}, 79.0, at, "fell off the bus", node, ahead)
        frame = Frame(Kind.EVENT, self.boot, self.sequence, at, STEP, payload=pack_event(event))
        return encode(frame)

    def take(self, body: bytes, now: int) -> FrameReceived:
        self.window.advance(now)
        answer = self.receiver.receive(body, now)
        assert answer.status == 200, answer.reason
        return answer


@pytest.fixture
def rig() -> Rig:
    return Rig()


def xids(at: int, value: float = 1.0) -> AheadSample:
    return AheadSample(XIDS, value, at)


def test_its_samples_are_there_at_once_and_the_frames_go_on_with_the_series(
    rig: Rig, instant: Instant, read: Read
) -> None:
    rig.take(rig.values(T0, 0.5, 0.0), T0)
    rig.take(rig.event(T0 + 300, xids(T0 + 300)), T0 + 310)
    assert instant(rig.window, T0 + 310)[XIDS] == 1.0
    rig.take(rig.values(T0 + STEP, 0.5, 1.0), T0 + STEP)
    rig.take(rig.values(T0 + 2 * STEP, 0.5, 1.0), T0 + 2 * STEP)
    assert read(rig.window, ["xids_total"]) == {
        XIDS: [(T0, 0.0), (T0 + 300, 1.0), (T0 + STEP, 1.0), (T0 + 2 * STEP, 1.0)]
    }
    assert rig.receiver.stats.refused == {}
    assert rig.receiver.stats.samples == 7


def test_an_event_that_overtakes_its_frame_takes_nothing_from_it(
    rig: Rig, instant: Instant, read: Read
) -> None:
    rig.take(rig.values(T0, 0.5, 0.0), T0)
    frame = rig.values(T0 + STEP, 0.7, None)
    rig.take(rig.event(T0 + STEP + 5, xids(T0 + STEP + 5)), T0 + STEP + 6)
    rig.take(frame, T0 + STEP + 10)
    assert read(rig.window, ["up"])[series("up", job="fleetowl-agent", instance="n1")][-1][1] == 1.0
    assert read(rig.window, ["load"])[LOAD] == [(T0, 0.5), (T0 + STEP, 0.7)]
    assert instant(rig.window, T0 + STEP)[LOAD] == 0.7
    assert XIDS not in instant(rig.window, T0 + STEP), "the frame ended it at its time"
    assert instant(rig.window, T0 + STEP + 10)[XIDS] == 1.0, "and it began again"


def test_a_series_that_no_frame_ever_shows_ends(rig: Rig, instant: Instant) -> None:
    rig.take(rig.values(T0, 0.5, schema=PLAIN), T0)
    rig.take(rig.event(T0 + 100, xids(T0 + 100)), T0 + 100)
    for turn in range(1, 4):
        rig.take(rig.values(T0 + turn * STEP, 0.5, schema=PLAIN), T0 + turn * STEP)
        rig.receiver.expire(T0 + turn * STEP)
        assert XIDS in instant(rig.window, T0 + turn * STEP), "a reading may be late"
    rig.receiver.expire(T0 + 3 * STEP + 200)
    assert XIDS not in instant(rig.window, T0 + 3 * STEP + 200)
    assert not rig.receiver._nodes["n1"].early


def test_a_series_that_a_frame_shows_is_the_frames_to_end(rig: Rig, instant: Instant) -> None:
    rig.take(rig.values(T0, 0.5, schema=PLAIN), T0)
    rig.take(rig.event(T0 + 100, xids(T0 + 100)), T0 + 100)
    for turn in range(1, 9):
        rig.take(rig.values(T0 + turn * STEP, 0.5, 1.0), T0 + turn * STEP)
        rig.receiver.expire(T0 + turn * STEP)
        assert instant(rig.window, T0 + turn * STEP + 500)[XIDS] == 1.0
    rig.take(rig.values(T0 + 9 * STEP, 0.5, schema=PLAIN), T0 + 9 * STEP)
    assert XIDS not in instant(rig.window, T0 + 9 * STEP)


def test_the_series_may_be_of_another_stream(rig: Rig, instant: Instant, read: Read) -> None:
    """The GPUs have a beat of their own; the event names the main one."""
    slow = Schema("n1", (XIDS,))
    for turn in range(6):
        rig.take(rig.values(T0 + turn * STEP, 0.5, schema=PLAIN), T0 + turn * STEP)
        if turn % 3 == 0:
            body = rig.values(T0 + turn * STEP, float(turn > 0), schema=slow, interval=3 * STEP)
            rig.take(body, T0 + turn * STEP)
        if turn == 1:
            rig.take(rig.event(T0 + 1100, xids(T0 + 1100)), T0 + 1100)
        rig.receiver.expire(T0 + turn * STEP)
    assert read(rig.window, ["xids_total"])[XIDS] == [(T0, 0.0), (T0 + 1100, 1.0), (T0 + 3 * STEP, 1.0)]
    assert instant(rig.window, T0 + 5 * STEP)[XIDS] == 1.0
    found = rig.window.find(XIDS)
    assert found is not None
    assert rig.window.target_of(found).interval == 3 * STEP, "it stays with its stream"


def test_an_event_before_the_first_frame(rig: Rig, instant: Instant) -> None:
    """The analyzer has just begun, or the agent has: the event makes the node known."""
    answer = rig.take(rig.event(T0, xids(T0 - 1, 0.0), xids(T0)), T0)
    assert [event.node for event in answer.events] == ["n1"]
    assert instant(rig.window, T0)[XIDS] == 1.0
    rig.take(rig.values(T0 + 100, 0.5, None), T0 + 100)
    assert instant(rig.window, T0 + 100)[XIDS] == 1.0, "the reading was made before it happened"
    rig.take(rig.values(T0 + STEP, 0.5, 1.0), T0 + STEP)
    assert instant(rig.window, T0 + STEP)[XIDS] == 1.0
    assert rig.receiver.expire(T0 + 3 * STEP) == []


def test_events_from_the_spool_of_an_outage(rig: Rig, instant: Instant, read: Read) -> None:
    rig.take(rig.values(T0, 0.5, 0.0), T0)
    spooled = rig.values(T0 + STEP, 0.5, 0.0) + rig.event(T0 + 1500, xids(T0 + 1500))
    spooled += rig.values(T0 + 2 * STEP, 0.5, 1.0)
    live = T0 + 60 * STEP
    rig.take(rig.values(live, 0.5, 1.0), live)
    answer = rig.take(spooled, live + 50)
    assert [event.event.at for event in answer.events] == [T0 + 1500]
    assert read(rig.window, ["xids_total"])[XIDS] == [
        (T0, 0.0), (T0 + STEP, 0.0), (T0 + 1500, 1.0), (T0 + 2 * STEP, 1.0), (live, 1.0)
    ]  # fmt: skip
    rig.receiver.expire(live + 2 * STEP)
    assert instant(rig.window, live + 2 * STEP)[XIDS] == 1.0


def test_too_old_and_too_far_ahead_are_refused_and_counted(rig: Rig) -> None:
    rig.take(rig.values(T0, 0.5, 0.0), T0)
    rig.take(rig.event(T0, xids(T0 - 20 * MINUTE), xids(T0 + 20 * MINUTE)), T0)
    assert rig.receiver.stats.refused == {"too_old": 1, "too_far_ahead": 1}
    assert len(rig.receiver.events.newest()) == 1, "the event itself is told"


def test_a_full_window_refuses_by_reason() -> None:
    rig = Rig(Window(limits=WindowLimits(series=1)))
    rig.take(rig.event(T0, xids(T0), AheadSample(LOAD, 1.0, T0)), T0)
    assert rig.receiver.stats.refused == {"series_limit": 1}


def test_a_silent_node_ends_what_its_events_began(rig: Rig, instant: Instant) -> None:
    rig.take(rig.values(T0, 0.5, schema=PLAIN), T0)
    rig.take(rig.event(T0 + 2 * STEP, xids(T0 + 2 * STEP)), T0 + 2 * STEP)
    assert rig.receiver.expire(T0 + 2 * STEP + 2600) != []
    assert XIDS not in instant(rig.window, T0 + 2 * STEP + 2600)


def test_a_node_that_leaves_ends_it_too(rig: Rig, instant: Instant) -> None:
    rig.take(rig.values(T0, 0.5, schema=PLAIN), T0)
    rig.take(rig.event(T0 + 100, xids(T0 + 100)), T0 + 100)
    assert rig.receiver.forget("n1", T0 + 200)
    assert XIDS not in instant(rig.window, T0 + 200)


def test_a_series_with_samples_of_its_own_ends_after_a_restart(instant: Instant) -> None:
    """What events brought has a column of its own; the first frame after a restart ends it all the same."""
    rig = Rig()
    rig.take(rig.values(T0, 0.5, 0.0), T0)
    rig.take(rig.event(T0 + 100, xids(T0 + 100)), T0 + 100)
    rig.take(rig.values(T0 + STEP, 0.5, 1.0), T0 + STEP)
    again = Rig(rig.window)
    again.boot = bytes([1]) * 16
    again.take(again.values(T0 + 2 * STEP, 0.5, schema=PLAIN), T0 + 2 * STEP)
    assert XIDS not in instant(rig.window, T0 + 2 * STEP)


def test_events_live_through_a_renumbering(rig: Rig, instant: Instant) -> None:
    gone = Schema("n0", (series("other", node="n0"),))
    rig.take(rig.values(T0 - 14 * MINUTE, 1.0, schema=gone), T0 - 14 * MINUTE)
    rig.take(rig.values(T0, 0.5, schema=PLAIN), T0)
    rig.take(rig.event(T0 + 100, xids(T0 + 100)), T0 + 100)
    assert rig.window.compact(T0 + 2 * MINUTE) is not None
    rig.receiver.expire(T0 + 2500)
    assert instant(rig.window, T0 + 2500)[XIDS] == 1.0
    rig.receiver.expire(T0 + 3200)
    assert XIDS not in instant(rig.window, T0 + 3200)


def test_what_people_are_shown(rig: Rig) -> None:
    for number in range(MOST + 5):
        rig.take(rig.event(T0 + number, kind=f"kind{number % 40}"), T0 + number + 20)
    newest = rig.receiver.events.newest()
    assert [event.event.at for event in newest] == [T0 + MOST + 4 - place for place in range(MOST)]
    assert newest[0].document == {
        "node": "n1", "type": "kind4", "labels": {"gpu": "3"}, "value": "79.0", "at": T0 + MOST + 4,
        "received_at": T0 + MOST + 24, "text": "fell off the bus",
    }  # fmt: skip
    own = {(sample.name, sample.labels.get("type")): sample.value for sample in rig.receiver.samples()}
    assert own["fleetowl_event_delay_seconds", None] == 0.02
    counts = {kind: value for (name, kind), value in own.items() if name == "fleetowl_events_total"}
    assert len(counts) == 33
    assert counts["kind4"] == 26
    assert sum(counts.values()) == MOST + 5
    assert counts[OTHER] > 26, "labels are bounded, whatever is sent"


def _history(turns: Sequence[tuple[int, int]]) -> tuple[Rig, list[bytes], dict[Labels, dict[int, float]]]:
    """Bodies of an agent with this many XIDs before, and between the frames of each second."""
    rig, count = Rig(), 0.0
    bodies, truth = [], {LOAD: dict[int, float](), XIDS: dict[int, float]()}
    for turn, (events, offset) in enumerate(turns):
        at = T0 + turn * STEP
        bodies.append(rig.values(at, float(turn), count))
        truth[LOAD][at], truth[XIDS][at] = float(turn), count
        for number in range(events):
            count += 1
            moment = at + offset + number
            bodies.append(rig.event(moment, xids(moment, count)))
            truth[XIDS][moment] = count
    return rig, bodies, truth


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 990)), min_size=1, max_size=8), st.randoms())
def test_in_whatever_order_they_come_no_sample_is_lost_or_counted_twice(
    turns: list[tuple[int, int]], random: Random
) -> None:
    rig, bodies, truth = _history(turns)
    order = bodies + bodies[:: max(1, len(bodies) // 3)]
    random.shuffle(order)
    now = T0 + len(turns) * STEP
    for body in order:
        rig.take(body, now)
        rig.receiver.expire(now)
    found: dict[Labels, dict[int, float]] = {}
    for name in ("load", "xids_total"):
        for selection in rig.window.select([Matcher(NAME, Op.EQUAL, name)]):
            times, values, present = selection.range(-(2**60), 2**60)
            for column, labels in enumerate(selection.labels):
                rows = present[:, column].nonzero()[0]
                found[labels] = {int(times[row, column]): float(values[row, column]) for row in rows}
                assert len(found[labels]) == len(rows)
    assert found == truth
    assert rig.receiver.stats.refused == {}
    events = sum(events for events, _ in turns)
    assert len(rig.receiver.events.newest()) == events


@pytest.mark.parametrize("known", [True, False])
def test_a_node_that_sends_only_events_is_down(rig: Rig, instant: Instant, known: bool) -> None:
    """Whose collection hangs may see XIDs all the same."""
    if known:
        rig.take(rig.values(T0, 0.5, 0.0), T0)
    said = []
    for now in range(T0 + STEP, T0 + 20 * STEP, STEP):
        rig.take(rig.event(now), now)
        said += rig.receiver.expire(now)
    assert len(said) == 1
    assert "up is 0" in said[0]
    up = Labels({NAME: "up", "job": JOB, "instance": "n1", "node": "n1"})
    assert instant(rig.window, now)[up] == 0.0
    rig.take(rig.values(now, 0.5, 0.0), now + 1)
    assert instant(rig.window, now + 1)[up] == 1.0
