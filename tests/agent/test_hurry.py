"""Events overtake frames, and a killed analyzer is sent again what it had accepted."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agent.reading import Outgoing
from tests.agent.pushing import KEY, SCHEMA, Rig, frame, hurry


async def test_an_event_does_not_wait_for_the_frame_that_is_under_way(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    held, rig.analyzer.open = rig.analyzer.open, asyncio.Event()
    rig.analyzer.open.set()  # only the request of the frame hangs
    event = await hurry(rig)
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
    first = await hurry(rig)
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
    await hurry(rig)
    assert rig.analyzer.requests == requests, "an analyzer in trouble is not hammered"
    rig.clock.now += 10
    event = await hurry(rig)
    await rig.pusher.settle()
    assert rig.analyzer.frames == [event]
    assert not rig.pusher.away


async def test_what_hangs_with_an_event_is_on_disk_in_the_order_of_its_making(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.open.clear()
    await rig.tick(wait=False)
    event = await hurry(rig)
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
    event = await hurry(rig)
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
    rig.pusher.offer([frame(2)])  # kept, and about to leave
    rig.pusher._failures = 0
    rig.pusher.offer([frame(3)])  # joins it
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
