"""Frames into the window: order, duplicates, live and late, stale markers, up, restarts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from model.labels import NAME, Labels
from model.moment import DAY, MINUTE
from telemetry.agents import Node
from telemetry.frame_ingest import RESTART_GRACE, FrameReceived, FrameReceiver, NodeRecord
from telemetry.ingest_settings import FrameSettings
from telemetry.presence import SKEW
from telemetry.seen import SeenSet
from telemetry.window import Window, WindowLimits
from wire.event import EventRecord, pack_event
from wire.frames import Frame, Kind, Schema, encode, pack_values, schema_frame

T0 = 1_700_000_000_000
STEP = 1000
UP = Labels({NAME: "up", "job": "fleetowl-agent", "instance": "n1", "node": "n1"})

Instant = Callable[..., dict[Labels, float]]
Read = Callable[..., dict[Labels, list[tuple[int, float]]]]


def series(name: str, **labels: str) -> Labels:
    return Labels({NAME: name, "node": "n1", **labels})


X, Y, Z = series("x"), series("y"), series("z")
ENGINE_UP = Labels({NAME: "up", "job": "vllm", "instance": "n1:8000", "node": "n1"})
SCHEMA = Schema("n1", (X, Y, ENGINE_UP), {"x": "counter"})


class Agent:
    """Makes frames as an agent does."""

    def __init__(self, boot: int = 1, schema: Schema = SCHEMA, interval: int = STEP) -> None:
        self.boot = bytes([boot]) * 16
        self.schema = schema
        self.interval = interval
        self.sequence = 0

    def schema_bytes(self) -> bytes:
        return encode(schema_frame(self.schema, self.boot, 0, T0, self.interval))

    def frame(self, kind: Kind, at: int, payload: bytes = b"") -> bytes:
        self.sequence += 1
        return encode(
            Frame(kind, self.boot, self.sequence, at, self.interval, self.schema.schema_hash, payload)
        )

    def values(self, at: int, *values: float | None) -> bytes:
        return self.frame(Kind.VALUES, at, pack_values(values))


def make(window: Window | None = None, **settings: Any) -> tuple[Window, FrameReceiver]:
    window = window or Window()
    return window, FrameReceiver(window, FrameSettings(**settings))


def ok(answer: FrameReceived, accepted: int) -> None:
    assert (answer.status, answer.accepted, answer.reason) == (200, accepted, "")


def test_a_node_reports(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    ok(receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0), 2)
    ok(receiver.receive(agent.values(T0 + STEP, 3.0, 4.0, 1.0), T0 + STEP), 1)
    assert instant(window, T0 + STEP) == {X: 3.0, Y: 4.0, ENGINE_UP: 1.0, UP: 1.0}
    assert instant(window, T0) == {X: 1.0, Y: 2.0, ENGINE_UP: 1.0, UP: 1.0}
    assert window.type_of("x") == "counter"


def test_an_unknown_schema_is_asked_for_and_the_body_sent_again(read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    first = agent.values(T0, 1.0, 2.0, None)
    answer = receiver.receive(first, T0)
    assert (answer.status, answer.accepted) == (409, 0)
    assert answer.document["need_schema"] is True
    ok(receiver.receive(agent.schema_bytes() + first, T0), 2)
    # In the midst of a body: what came before counts, and is recognised when it comes again.
    other = Agent(schema=Schema("n1", (Z,)))
    other.boot, other.sequence = agent.boot, 1
    body = other.values(T0 + STEP, 5.0)
    assert receiver.receive(agent.schema_bytes() + body, T0).accepted == 1
    ok(receiver.receive(agent.schema_bytes() + other.schema_bytes() + body, T0), 3)
    assert read(window, ["x", "z"]) == {X: [(T0, 1.0)], Z: [(T0 + STEP, 5.0)]}


def test_a_frame_counts_once(read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    event = agent.frame(Kind.EVENT, T0, pack_event(EventRecord("xid", {"node": "n1"})))
    body = agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0) + event
    assert len(receiver.receive(body, T0).events) == 1
    again = receiver.receive(body, T0)
    ok(again, 3)
    assert again.events == []
    assert receiver.stats.duplicates == 2
    assert len(read(window, ["x"])[X]) == 1


def test_the_spool_fills_the_gap_behind_live_frames(read: Read, instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    ok(receiver.receive(agent.schema_bytes() + agent.values(T0, 0.0, 0.0, 1.0), T0), 2)
    missed = [agent.values(T0 + turn * STEP, float(turn), None, None) for turn in range(1, 60)]
    live = T0 + 60 * STEP
    ok(receiver.receive(agent.values(live, 60.0, 60.0, 1.0), live), 1)
    ok(receiver.receive(b"".join(missed), live + 1), 59)
    found = read(window, ["x", "y"])
    assert found[X] == [(T0 + turn * STEP, float(turn)) for turn in range(61)]
    # A late frame says nothing of what exists now, and does not make the node older.
    assert instant(window, live)[Y] == 60.0
    assert read(window, ["up"])[UP] == [(T0, 1.0), (live, 1.0)]
    assert receiver.expire(live + STEP) == []


def test_absent_and_dropped_columns_end(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    receiver.receive(agent.values(T0 + STEP, 1.0, None, 0.0), T0 + STEP)
    assert instant(window, T0 + STEP) == {X: 1.0, ENGINE_UP: 0.0, UP: 1.0}
    agent.schema = Schema("n1", (Y, Z))
    receiver.receive(agent.schema_bytes() + agent.values(T0 + 2 * STEP, 3.0, 4.0), T0 + 2 * STEP)
    assert instant(window, T0 + 2 * STEP) == {Y: 3.0, Z: 4.0, UP: 1.0}
    assert X in instant(window, T0 + 2 * STEP - 1)


def test_a_silent_node_is_down_after_two_missed_intervals(instant: Instant, read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    sentences = []
    for tick in range(1, 100):
        sentences += receiver.expire(T0 + tick * 100)
    assert len(sentences) == 1
    assert "n1" in sentences[0]
    down = [at for at, value in read(window, ["up"])[UP] if value == 0.0]
    assert down[0] == T0 + 2600
    assert len(down) == 8, "once an interval, so that rules see it for as long as it lasts"
    assert instant(window, T0 + 9900) == {UP: 0.0}
    assert X in instant(window, T0 + 2500)
    ok(receiver.receive(agent.values(T0 + 10_000, 5.0, 6.0, 1.0), T0 + 10_000), 1)
    assert instant(window, T0 + 10_000)[UP] == 1.0
    assert instant(window, T0 + 10_000)[X] == 5.0
    assert receiver.expire(T0 + 12_000) == []
    assert receiver.expire(T0 + 12_600) != []


def test_an_agents_clock_ahead_of_ours_still_goes_down_and_ends(instant: Instant, read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    skewed = T0 + 5000
    receiver.receive(agent.schema_bytes() + agent.values(skewed, 1.0, 2.0, 1.0), T0)
    for tick in range(1, 20):
        receiver.expire(T0 + tick * STEP)
    assert instant(window, T0 + 19 * STEP) == {UP: 0.0}
    values = [value for _, value in read(window, ["up"])[UP]]
    assert values == sorted(values, reverse=True), "it must not come back to life when our clock gets there"


@pytest.mark.parametrize("skew", [-20 * MINUTE, -2 * MINUTE, 0, 2 * MINUTE, 20 * MINUTE])
def test_a_node_with_a_wrong_clock_is_up_while_it_sends(skew: int, instant: Instant, read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    for turn in range(10):
        now = T0 + turn * STEP
        window.advance(now)
        ok(receiver.receive(agent.schema_bytes() + agent.values(now + skew, 1.0, 2.0, 1.0), now), 2)
        receiver.expire(now)
    stored = 10 if abs(skew) < 10 * MINUTE else 0
    assert len(read(window, ["x"]).get(X, [])) == stored
    assert receiver.stats.refused.total() == 3 * (10 - stored)
    assert read(window, ["up"])[UP] == [(T0 + turn * STEP, 1.0) for turn in range(10)]
    assert instant(window, now, SKEW) == {UP.merged({NAME: SKEW}): skew / 1000}
    for tick in range(1, 5):
        window.advance(now + tick * STEP)
        receiver.expire(now + tick * STEP)
    now += 4 * STEP
    assert instant(window, now, "up")[UP] == 0.0
    assert instant(window, now, SKEW) == {}, "nobody knows what its clock says now"
    window.advance(now + STEP)
    receiver.receive(agent.schema_bytes() + agent.values(now + STEP + skew, 1.0, 2.0, 1.0), now + STEP)
    assert instant(window, now + STEP, "up")[UP] == 1.0
    receiver.receive(agent.frame(Kind.BYE, now + STEP + skew), now + STEP + 5)
    assert instant(window, now + STEP + 5, "up") == instant(window, now + STEP + 5, SKEW) == {}


def test_only_live_frames_tell_the_clock(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0 + 100)
    spooled = agent.values(T0 + STEP, 1.0, 2.0, 1.0)
    now = T0 + 100 * STEP
    receiver.receive(agent.values(now, 1.0, 2.0, 1.0), now + 200)
    receiver.receive(spooled, now + 300)
    assert instant(window, now + 300, SKEW) == {UP.merged({NAME: SKEW}): -0.2}


def test_two_reports_within_a_millisecond_are_both_heard(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    receiver.expire(T0 + 5 * STEP)
    receiver.receive(agent.values(T0 + 5 * STEP, 1.0, 2.0, 1.0), T0 + 5 * STEP)
    assert instant(window, T0 + 5 * STEP + 1)[UP] == 1.0


def test_a_farewell_ends_everything_and_is_no_outage(instant: Instant, read: Read) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    ok(receiver.receive(agent.frame(Kind.BYE, T0 + 500), T0 + 500), 1)
    assert receiver.expire(T0 + MINUTE) == []
    assert instant(window, T0 + MINUTE) == {}
    assert receiver.inventory() == []
    reborn = Agent(boot=2)
    ok(receiver.receive(reborn.schema_bytes() + reborn.values(T0 + MINUTE, 1.0, 2.0, 1.0), T0 + MINUTE), 2)
    assert instant(window, T0 + MINUTE)[UP] == 1.0


def test_a_farewell_from_the_spool_of_an_earlier_boot_is_history(instant: Instant) -> None:
    window, receiver = make()
    old, new = Agent(boot=1), Agent(boot=2)
    farewell = old.frame(Kind.BYE, T0 - 5000)
    receiver.receive(new.schema_bytes() + new.values(T0, 1.0, 2.0, 1.0), T0)
    ok(receiver.receive(farewell, T0), 1)
    assert instant(window, T0)[UP] == 1.0


def test_boots(instant: Instant, read: Read) -> None:
    """A new boot counts from one again; the spool of the old one is not taken for news."""
    window, receiver = make()
    old, new = Agent(boot=1), Agent(boot=2)
    receiver.receive(old.schema_bytes() + old.values(T0, 1.0, 2.0, 1.0), T0)
    spooled = old.values(T0 + STEP, 9.0, None, None)
    ok(receiver.receive(new.values(T0 + 5 * STEP, 3.0, 4.0, 1.0), T0 + 5 * STEP), 1)
    ok(receiver.receive(spooled, T0 + 5 * STEP), 1)
    assert instant(window, T0 + 5 * STEP) == {X: 3.0, Y: 4.0, ENGINE_UP: 1.0, UP: 1.0}
    assert (T0 + STEP, 9.0) in read(window, ["x"])[X]
    assert read(window, ["up"])[UP] == [(T0, 1.0), (T0 + 5 * STEP, 1.0)]
    # The clock was set back before the next boot: its frames are news all the same.
    back = Agent(boot=3)
    at = T0 + 4 * STEP
    ok(receiver.receive(back.values(at, 7.0, 8.0, 1.0), at), 1)
    assert instant(window, at)[X] == 7.0
    assert (at, 1.0) in read(window, ["up"])[UP]


def test_many_boots_in_the_spool_do_not_push_out_the_present_one() -> None:
    node = Node("n", Window(), STEP, T0)
    node.boot = bytes(16)
    for boot in range(10):
        frame = Frame(Kind.VALUES, bytes([boot]) * 16, 5, T0, STEP)
        assert node.first_time(frame)
        assert not node.first_time(frame)
    assert bytes(16) in node.boots
    assert len(node.boots) == 4


def test_two_streams_of_one_node(instant: Instant) -> None:
    window, receiver = make()
    fast, slow = Agent(), Agent(schema=Schema("n1", (Z,)), interval=5 * STEP)
    for turn in range(20):
        at = T0 + turn * STEP
        body = fast.schema_bytes() + fast.values(at, 1.0, 2.0, 1.0)
        if turn % 5 == 0:
            slow.sequence = fast.sequence
            body += slow.schema_bytes() + slow.values(at, float(turn))
            fast.sequence = slow.sequence
        assert receiver.receive(body, at).status == 200
        assert receiver.expire(at) == []
    assert instant(window, T0 + 19 * STEP) == {X: 1.0, Y: 2.0, ENGINE_UP: 1.0, UP: 1.0, Z: 15.0}
    # A boot that no longer has the fast stream: it ends, and the node is up by the slow one.
    reborn = Agent(boot=2, schema=Schema("n1", (Z,)), interval=5 * STEP)
    at = T0 + 20 * STEP
    receiver.receive(reborn.schema_bytes() + reborn.values(at, 1.0), at)
    assert instant(window, at) == {UP: 1.0, Z: 1.0}
    assert receiver.expire(at + 12 * STEP) == []
    assert receiver.expire(at + 13 * STEP) != []


def test_a_stream_that_stops_within_a_boot_ends(instant: Instant) -> None:
    window, receiver = make()
    fast, slow = Agent(), Agent(schema=Schema("n1", (Z,)), interval=2 * STEP)
    slow.sequence = 1_000_000
    receiver.receive(fast.schema_bytes() + fast.values(T0, 1.0, 2.0, 1.0), T0)
    for turn in range(20):
        at = T0 + turn * 2 * STEP
        receiver.receive(slow.schema_bytes() + slow.values(at, 1.0), at)
        receiver.expire(at)
    assert instant(window, T0 + 38 * STEP) == {Z: 1.0, UP: 1.0}


def test_the_inventory_survives_a_restart(instant: Instant) -> None:
    _, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    records = receiver.inventory()
    assert records == [NodeRecord("n1", STEP, T0)]
    window, successor = make()
    restart = T0 + 10 * MINUTE
    successor.restore(records, restart)
    restart += RESTART_GRACE
    assert successor.expire(restart + 2 * STEP) == [], "two intervals after the grace"
    assert len(successor.expire(restart + 3 * STEP)) == 1
    assert instant(window, restart + 3 * STEP) == {UP: 0.0}
    successor.restore(records, restart + 4 * STEP)
    back = restart + 5 * STEP
    ok(successor.receive(agent.schema_bytes() + agent.values(back, 1.0, 2.0, 1.0), back), 2)
    assert instant(window, back)[UP] == 1.0


def test_a_restored_window_is_taken_over(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    _, successor = make(window)
    successor.restore(receiver.inventory(), T0)
    successor.receive(agent.schema_bytes() + agent.values(T0 + STEP, 5.0, None, 1.0), T0 + STEP)
    assert instant(window, T0 + STEP) == {X: 5.0, ENGINE_UP: 1.0, UP: 1.0}


def test_a_node_silent_for_long_is_forgotten(instant: Instant) -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    assert receiver.expire(T0 + DAY) != []
    receiver.expire(T0 + DAY + STEP)
    assert receiver.inventory() == []
    assert instant(window, T0 + DAY + 2 * STEP) == {}
    assert not receiver.forget("n1", T0)


def test_an_event_needs_no_schema() -> None:
    _, receiver = make()
    agent = Agent()
    event = EventRecord("xid", {"gpu": "3"}, 79.0, T0, "fallen off the bus", "n1")
    answer = receiver.receive(agent.frame(Kind.EVENT, T0, pack_event(event)), T0)
    ok(answer, 1)
    (found,) = answer.events
    assert (found.node, found.received_at, found.event) == ("n1", T0, event)
    nameless = agent.frame(Kind.EVENT, T0, pack_event(EventRecord("xid")))
    assert receiver.receive(nameless, T0).status == 409
    ok(receiver.receive(agent.schema_bytes() + nameless, T0), 2)


@pytest.mark.parametrize("damage", ["cut", "noise", "interval", "columns"])
def test_malformed_bodies(damage: str) -> None:
    _, receiver = make()
    agent = Agent()
    good = agent.schema_bytes()
    if damage == "cut":
        body = good + agent.values(T0, 1.0, 2.0, 1.0)[:-1]
    elif damage == "noise":
        body = b"hello"
    elif damage == "interval":
        agent.interval = 0
        body = good + agent.values(T0, 1.0, 2.0, 1.0)
    else:
        body = good + agent.values(T0, 1.0, 2.0)
    answer = receiver.receive(body, T0)
    assert answer.status == 400
    assert answer.reason
    assert receiver.stats.requests_refused == {"malformed": 1}


def test_limits_of_nodes_and_schemas() -> None:
    _, receiver = make(nodes=1, schemas=2)
    agent = Agent()
    ok(receiver.receive(agent.schema_bytes(), T0), 1)
    stranger = Agent(schema=Schema("n2", (Z,)))
    answer = receiver.receive(stranger.schema_bytes(), T0)
    assert (answer.status, "1 nodes" in answer.reason) == (400, True)
    stranger_event = stranger.frame(Kind.EVENT, T0, pack_event(EventRecord("x", node="n2")))
    assert receiver.receive(stranger_event, T0).status == 400, "it is not to be sent again and again"
    for name in "abc":
        agent.schema = Schema("n1", (series(name),))
        ok(receiver.receive(agent.schema_bytes(), T0), 1)
    agent.schema = SCHEMA
    assert receiver.receive(agent.values(T0, 1.0, 2.0, 1.0), T0).status == 409


def test_series_that_the_window_dropped_or_renumbered_are_found_again(instant: Instant) -> None:
    window, receiver = make(Window(retention=10 * MINUTE))
    agent = Agent()
    gone = Agent(schema=Schema("n0", (Labels({NAME: "other"}),)))
    receiver.receive(gone.schema_bytes() + gone.values(T0 - STEP, 1.0), T0)
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0)
    at = T0
    for slack in (1.0, 0.0):
        receiver.receive(agent.values(at + STEP, 1.0, None, 1.0), at)
        at += 11 * MINUTE
        receiver.receive(agent.values(at, 1.0, None, 1.0), at)
        window.compact(at, slack)
        assert window.find(Y) is None
        at += STEP
        receiver.receive(agent.values(at, 3.0, 4.0, None), at)
        assert instant(window, at) == {X: 3.0, Y: 4.0, UP: 1.0}
    assert receiver.stats.refused == {}


def test_columns_without_values_make_no_series() -> None:
    window, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, None, None), T0)
    assert window.find(X) is not None
    assert window.find(Y) is None


def test_a_full_window_refuses_by_reason() -> None:
    window, receiver = make(Window(limits=WindowLimits(series=2)))
    agent = Agent()
    ok(receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, 1.0), T0), 2)
    assert window.series_count == 2
    assert window.find(UP) is not None
    assert receiver.stats.refused["series_limit"] == 3, "two columns, and the skew of its clock"


def test_own_metrics() -> None:
    _, receiver = make()
    agent = Agent()
    receiver.receive(agent.schema_bytes() + agent.values(T0, 1.0, 2.0, None), T0)
    receiver.receive(b"junk", T0)
    exported = {(sample.name, *sample.labels.values()): sample.value for sample in receiver.samples()}
    assert exported[("fleetowl_frames_total", "values")] == 1
    assert exported[("fleetowl_frame_samples_total",)] == 2
    assert exported[("fleetowl_frame_requests_refused_total", "malformed")] == 1
    assert exported[("fleetowl_frame_nodes", "up")] == 1


def numbers(seen: SeenSet, of: Sequence[int]) -> list[bool]:
    return [seen.add(number) for number in of]


def test_seen_set() -> None:
    seen = SeenSet()
    assert all(numbers(seen, [5, 6, 7, 1, 3, 2]))
    assert not any(numbers(seen, [1, 2, 3, 5, 6, 7]))
    assert len(seen) == 2
    assert seen.add(4)
    assert len(seen) == 1
    assert seen.highest == 7
    assert 4 in seen
    assert 8 not in seen
    assert SeenSet().highest == -1


def test_seen_set_is_bounded_and_agrees_with_a_set() -> None:
    source, seen, truth = Random(1), SeenSet(most=10_000), set[int]()
    for _ in range(3000):
        number = source.randrange(2000)
        assert seen.add(number) == (number not in truth)
        truth.add(number)
    small = SeenSet(most=8)
    numbers(small, range(0, 1000, 2))
    assert len(small) == 8
    assert 998 in small


@pytest.mark.parametrize("time", [0, -1, 1 << 62])
def test_a_moment_that_cannot_be_is_malformed(time: int) -> None:
    _, receiver = make()
    agent = Agent()
    answer = receiver.receive(agent.schema_bytes() + agent.values(time, 1.0, 2.0, 1.0), T0)
    assert answer.status == 400
    assert receiver.expire(T0 + MINUTE)
