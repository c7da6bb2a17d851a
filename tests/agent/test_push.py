"""Delivery to an analyzer that is away, slow, strict or overloaded, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.push import Answer, Backoff, Pusher
from agent.reading import Outgoing
from agent.spool import Spool

SCHEMA = b"<schema>"
KEY = b"schema-1"


def _frame(number: int) -> Outgoing:
    return Outgoing(KEY, SCHEMA, b"<%d>" % number)


class Analyzer:
    """The other side: answers what `status` says, remembers what it accepted, in order."""

    def __init__(self) -> None:
        self.status = 200
        self.retry_after: float | None = None
        self.knows_schema = False
        self.poison: bytes | None = None
        self.largest = 1 << 30
        self.boot, self.window_end = "", 0
        self.fault: Exception | None = None
        self.requests = 0
        self.frames: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()

    async def post(self, body: bytes) -> Answer:
        self.requests += 1
        await self.open.wait()
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if self.status != 200:
            kind = {0: "connection", 401: "unauthorized", 429: "overload"}.get(self.status, "status")
            return Answer(self.status, kind, f"it answered {self.status}", self.retry_after)
        if len(body) > self.largest:
            return Answer(413, "too_large", "too large")
        if self.poison is not None and self.poison in body:
            return Answer(400, "malformed", "malformed")
        self.knows_schema |= SCHEMA in body
        if not self.knows_schema:
            return Answer(409, "schema", "need schema")
        self.frames += [part + b">" for part in body.replace(SCHEMA, b"").split(b">")[:-1]]
        return Answer(200, boot=self.boot, window_end=self.window_end)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A pusher, its analyzer and a clock; `tick` is one beat of a second."""

    def __init__(self, folder: Path, rate: float = 200.0) -> None:
        self.analyzer = Analyzer()
        self.clock = Clock()
        self.folder = folder
        self.rate = rate
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """As the agent starts, also after a kill."""
        self.spool = Spool(self.folder, 1 << 20, 2000)
        self.spool.open()
        self.pusher = Pusher(
            "sink:9480",
            self.analyzer.post,
            self.spool,
            Backoff(1.0, 8.0),
            self.rate,
            timer=self.clock,
            clock=self.clock,
            chance=lambda: 0.999,
        )

    async def tick(self, times: int = 1, wait: bool = True) -> None:
        for _ in range(times):
            self.clock.now += 1.0
            self.pusher.offer([_frame(self.number)])
            self.number += 1
            if wait:
                await self.pusher.settle()
            else:
                await asyncio.sleep(0)

    def all_frames(self) -> set[bytes]:
        return {b"<%d>" % number for number in range(self.number)}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def _positions(frames: Sequence[bytes], wanted: bytes) -> list[int]:
    return [position for position, frame in enumerate(frames) if frame == wanted]


async def test_live_frames_go_out_and_touch_no_disk(rig: Rig) -> None:
    await rig.tick(5)
    assert rig.analyzer.frames == [b"<0>", b"<1>", b"<2>", b"<3>", b"<4>"]
    assert rig.spool.stats.spooled == 0
    assert rig.pusher.stats.last_success == rig.clock.now


async def test_the_schema_goes_first_and_again_when_asked(rig: Rig) -> None:
    await rig.tick(2)
    rig.analyzer.knows_schema = False  # it was started again
    requests = rig.analyzer.requests
    await rig.tick(2)
    assert rig.analyzer.frames == [b"<0>", b"<1>", b"<2>", b"<3>"]
    assert rig.analyzer.requests == requests + 3, "409, the same with the schema, then as before"
    assert rig.pusher.stats.failures == {}


async def test_ten_minutes_away_lose_nothing(rig: Rig) -> None:
    await rig.tick(3)
    rig.analyzer.status = 0
    await rig.tick(600)
    assert rig.pusher.away
    assert rig.spool.frames == 600
    assert rig.analyzer.requests < 100, "it is not hammered while it is away"
    rig.analyzer.status = 200
    await rig.tick(30)
    assert set(rig.analyzer.frames) == rig.all_frames()
    assert rig.spool.frames == 0
    assert rig.spool.size == 0


async def test_an_agent_killed_during_the_outage_loses_nothing(rig: Rig) -> None:
    await rig.tick(3)
    rig.analyzer.status = 0
    await rig.tick(50)
    rig.begin()  # no close, no goodbye
    await rig.tick(50)
    rig.begin()
    rig.analyzer.status, rig.analyzer.knows_schema = 200, False
    await rig.tick(30)
    assert set(rig.analyzer.frames) == rig.all_frames()


async def test_live_frames_come_before_the_spool(rig: Rig) -> None:
    rig.analyzer.status = 0
    await rig.tick(20)
    rig.analyzer.status = 200
    rig.clock.now += 10
    await rig.tick()
    assert rig.analyzer.frames[0] == b"<20>"
    assert rig.analyzer.frames[1] == b"<0>"


async def test_live_frames_stay_ahead_while_the_spool_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, rate=5.0)
    rig.analyzer.status = 0
    await rig.tick(100)
    rig.analyzer.status = 200
    rig.clock.now += 8
    await rig.tick()
    for _ in range(4):
        before = len(rig.analyzer.frames)
        await rig.tick()
        assert rig.analyzer.frames[before] == b"<%d>" % (rig.number - 1)
        assert len(rig.analyzer.frames) > before + 1


async def test_backfill_is_rate_limited(tmp_path: Path) -> None:
    rig = Rig(tmp_path, rate=5.0)
    rig.analyzer.status = 0
    await rig.tick(100)
    rig.analyzer.status = 200
    rig.clock.now += 8
    await rig.tick()
    before = len(rig.analyzer.frames)
    assert before <= 1 + 50, "ten seconds' worth at most"
    await rig.tick(4)
    assert len(rig.analyzer.frames) - before == 4 + 4 * 5


async def test_back_off_doubles_up_to_its_limit(rig: Rig) -> None:
    rig.analyzer.status = 503
    attempts = []
    for _ in range(60):
        before = rig.analyzer.requests
        await rig.tick()
        if rig.analyzer.requests > before:
            attempts.append(rig.number)
    gaps = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert gaps[:4] == [1, 2, 4, 8]
    assert set(gaps[4:]) == {8}


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_back_off_has_jitter(chance: float) -> None:
    assert Backoff(1.0, 8.0).pause(3, chance) == 4 * (0.5 + chance / 2)


async def test_retry_after_is_respected(rig: Rig) -> None:
    rig.analyzer.status, rig.analyzer.retry_after = 429, 30.0
    await rig.tick()
    rig.analyzer.status = 200
    await rig.tick(29)
    assert rig.analyzer.requests == 1
    await rig.tick(2)
    assert set(rig.analyzer.frames) == rig.all_frames()


async def test_a_fault_of_ours_loses_nothing_and_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.analyzer.fault = RuntimeError("a bug")
    await rig.tick(3)
    event = await _hurry(rig)
    assert rig.pusher.away
    assert rig.spool.frames == 4
    assert rig.pusher.stats.failures == {"internal": 2}, "it backs off as after any failure"
    assert len([each for each in caplog.records if each.exc_info]) == 1
    rig.analyzer.fault = None
    rig.clock.now += 10
    await rig.tick()
    assert set(rig.analyzer.frames) == rig.all_frames() - {b"<3>"} | {event}


async def test_a_fault_of_ours_as_the_agent_stops_keeps_what_was_under_way(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.fault = RuntimeError("a bug")
    await rig.tick(wait=False)
    await rig.pusher.close(_frame(9))
    rig.begin()
    assert rig.spool.frames == 1


async def test_a_goodbye_that_fails_for_a_fault_of_ours_ends_all_the_same(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.fault = RuntimeError("a bug")
    await rig.pusher.close(_frame(9))
    rig.begin()
    assert rig.spool.frames == 0


async def test_a_hung_analyzer_holds_nothing_in_memory(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(5, wait=False)
    assert rig.spool.frames == 5, "the one on its way and all since"
    rig.begin()  # kill -9 now
    rig.analyzer.open.set()
    await rig.tick(3)
    assert set(rig.analyzer.frames) == rig.all_frames()


async def test_two_beats_at_one_moment_are_no_backlog(rig: Rig) -> None:
    await rig.tick()
    rig.clock.now += 1
    rig.pusher.offer([_frame(1)])
    await asyncio.sleep(0)  # it is on its way when the second beat comes
    rig.pusher.offer([_frame(2)])
    rig.pusher.offer([_frame(3)])
    await rig.pusher.settle()
    assert rig.analyzer.frames == [b"<0>", b"<1>", b"<2>", b"<3>"]
    assert rig.spool.stats.spooled == 0


async def _hurry(rig: Rig) -> bytes:
    name = b"<%d!>" % rig.number
    rig.number += 1
    rig.pusher.hurry(Outgoing(bytes(8), b"", name), rig.clock.now)
    await asyncio.sleep(0)
    return name


async def test_an_event_does_not_wait_for_the_frame_that_is_under_way(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    held, rig.analyzer.open = rig.analyzer.open, asyncio.Event()
    rig.analyzer.open.set()  # only the request of the frame hangs
    event = await _hurry(rig)
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.analyzer.frames == [b"<0>", event]
    rig.clock.now += 0.25
    held.set()
    await rig.pusher.settle()
    assert rig.analyzer.frames == [b"<0>", event, b"<1>"]
    assert rig.spool.stats.spooled == 0
    delay = [s.value for s in rig.pusher.samples() if s.name == "fleetowl_agent_event_delay_seconds"]
    assert delay == [0.0]


async def test_an_event_of_an_outage_waits_in_its_place(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.status = 0
    await rig.tick()
    first = await _hurry(rig)
    await rig.tick()
    rig.analyzer.status = 200
    rig.clock.now += 10
    await rig.tick()
    assert rig.analyzer.frames == [b"<0>", b"<4>", b"<1>", first, b"<3>", b"<4>"]


async def test_an_event_goes_before_the_backlog_but_not_before_the_pause_is_over(rig: Rig) -> None:
    rig.analyzer.status, rig.analyzer.knows_schema = 0, True
    await rig.tick(2)
    rig.analyzer.status = 200
    requests = rig.analyzer.requests
    await _hurry(rig)
    assert rig.analyzer.requests == requests, "an analyzer in trouble is not hammered"
    rig.clock.now += 10
    event = await _hurry(rig)
    await rig.pusher.settle()
    assert rig.analyzer.frames == [event]
    assert not rig.pusher.away


async def test_what_hangs_with_an_event_is_on_disk_in_the_order_of_its_making(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    event = await _hurry(rig)
    await rig.tick(2, wait=False)
    assert rig.spool.frames == 4
    rig.begin()  # kill -9 now
    batch = rig.spool.batch(9, 1 << 20)
    assert batch is not None
    assert [record.data for record in batch.records] == [b"<1>", event, b"<3>", b"<4>"]


async def test_an_event_that_fails_takes_what_was_before_it_to_the_disk(rig: Rig) -> None:
    """The spool keeps the order of the sequence, whichever request fails first."""
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    rig.analyzer.open, rig.analyzer.status = asyncio.Event(), 503
    rig.analyzer.open.set()
    event = await _hurry(rig)
    for _ in range(5):
        await asyncio.sleep(0)
    batch = rig.spool.batch(9, 1 << 20)
    assert batch is not None
    assert [record.data for record in batch.records] == [b"<1>", event]


async def test_frames_that_join_one_on_its_way_to_the_disk_are_kept_too(rig: Rig) -> None:
    """Each is kept once, although an event's success calls off the alarm in between."""
    await rig.tick()
    rig.analyzer.status = 0
    await rig.tick()
    rig.clock.now += 10
    rig.analyzer.status = 200
    rig.pusher.offer([_frame(2)])  # kept, and about to leave
    rig.pusher._failures = 0
    rig.pusher.offer([_frame(3)])  # joins it
    rig.analyzer.status = 0
    await rig.pusher.settle()
    batch = rig.spool.batch(9, 1 << 20)
    assert batch is not None
    assert [record.data for record in batch.records] == [b"<1>", b"<2>", b"<3>"]


async def _accepted_before_a_kill(rig: Rig, boot: str = "first") -> list[bytes]:
    """Ten frames, of the times 1000, 2000, ... ms; then another process answers."""
    rig.analyzer.boot = boot
    for number in range(10):
        rig.clock.now += 1.0
        rig.pusher.offer([Outgoing(KEY, SCHEMA, b"<%d>" % number, (number + 1) * 1000)])
        await rig.pusher.settle()
    rig.number = 10
    before, rig.analyzer.frames = rig.analyzer.frames, []
    rig.analyzer.boot, rig.analyzer.knows_schema = "second", False
    return before


async def test_a_killed_analyzer_gets_again_what_its_snapshot_lacks(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    before = await _accepted_before_a_kill(rig)
    rig.analyzer.window_end = 8_500
    await rig.tick(3)
    assert rig.analyzer.frames[0] == b"<10>", "live ones first"
    assert sorted(rig.analyzer.frames) == sorted([*before[5:], b"<10>", b"<11>", b"<12>"])
    assert [s.value for s in rig.pusher.samples() if s.name == "fleetowl_agent_frames_resent_total"] == [5.0]
    assert ["gets 5 frames again" in record.message for record in caplog.records] == [True]
    rig.analyzer.boot, rig.analyzer.window_end, rig.analyzer.frames = "third", 0, []
    await rig.tick(2)
    assert {*before, b"<10>", b"<11>", b"<12>"} <= set(rig.analyzer.frames), (
        "killed again before its snapshot"
    )


async def test_an_agent_that_began_or_analyzers_that_take_turns_send_nothing_twice(rig: Rig) -> None:
    await _accepted_before_a_kill(rig, boot="")
    rig.analyzer.window_end = 0
    await rig.tick(2)
    assert rig.analyzer.frames == [b"<10>", b"<11>"], "it knew of no boot before"
    rig.analyzer.boot = "third"
    await rig.tick()
    resent = rig.pusher.stats.resent
    for turn in range(10):
        rig.analyzer.boot = ("second", "third")[turn % 2]
        await rig.tick()
    assert rig.pusher.stats.resent == resent


async def test_what_is_sent_again_costs_no_frame_that_was_never_delivered(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await _accepted_before_a_kill(rig)
    rig.spool.max_bytes = 10
    await rig.tick()
    assert rig.spool.frames == 0
    assert rig.analyzer.frames == [b"<10>"]
    assert "no room" in caplog.text


async def test_a_frame_that_is_rejected_is_dropped_alone(rig: Rig) -> None:
    rig.analyzer.status = 0
    await rig.tick(9)
    rig.analyzer.status, rig.analyzer.poison = 200, b"<4>"
    rig.clock.now += 10
    await rig.tick()
    assert set(rig.analyzer.frames) == rig.all_frames() - {b"<4>"}
    assert rig.pusher.stats.rejected == 1
    assert rig.spool.frames == 0
    assert all(len(_positions(rig.analyzer.frames, frame)) <= 2 for frame in rig.all_frames())


async def test_too_much_at_once_is_halved(rig: Rig) -> None:
    rig.analyzer.status = 0
    await rig.tick(9)
    rig.analyzer.status, rig.analyzer.largest = 200, 25
    rig.clock.now += 10
    await rig.tick()
    assert set(rig.analyzer.frames) == rig.all_frames()
    assert rig.pusher.stats.too_large == 0


async def test_a_wrong_token_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    rig.analyzer.status = 401
    await rig.tick(40)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "401" in caplog.records[0].message
    rig.analyzer.status = 200
    await rig.tick(9)
    assert "takes frames again" in caplog.records[-1].message
    assert set(rig.analyzer.frames) == rig.all_frames()
    assert rig.pusher.stats.failures["unauthorized"] > 3


async def test_goodbye(rig: Rig) -> None:
    await rig.tick(2)
    await rig.pusher.close(Outgoing(KEY, SCHEMA, b"<bye>"))
    assert rig.analyzer.frames[-1] == b"<bye>"


async def test_stopping_while_the_analyzer_hangs_keeps_what_is_on_its_way(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    await rig.pusher.close(Outgoing(KEY, SCHEMA, b"<bye>"), grace=0.01)
    rig.begin()
    assert rig.spool.frames == 1


async def test_metrics(rig: Rig) -> None:
    rig.analyzer.status = 0
    await rig.tick(3)
    rig.analyzer.status = 200
    rig.clock.now += 10
    await rig.tick()
    values = {
        (
            sample.name.removeprefix("fleetowl_agent_"),
            sample.labels.get("origin"),
            sample.labels.get("reason"),
        ): (sample.value)
        for sample in rig.pusher.samples()
    }
    assert values["frames_sent_total", "live", None] == 1
    assert values["frames_sent_total", "spool", None] == 4
    assert values["frames_spooled_total", None, None] == 4
    assert values["push_failures_total", None, "connection"] == 2
    assert values["push_last_success_timestamp_seconds", None, None] == rig.clock.now
    assert values["spool_frames", None, None] == 0
    assert values["spool_writable", None, None] == 1
