"""Delivery to an analyzer that is away, slow, strict or overloaded, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path

import pytest

from agent.push import Backoff
from agent.reading import Outgoing
from tests.agent.pushing import KEY, SCHEMA, Rig, frame, hurry, positions


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
    event = await hurry(rig)
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
    await rig.pusher.close(frame(9))
    rig.begin()
    assert rig.spool.frames == 1


async def test_a_goodbye_that_fails_for_a_fault_of_ours_ends_all_the_same(rig: Rig) -> None:
    await rig.tick()
    rig.analyzer.fault = RuntimeError("a bug")
    await rig.pusher.close(frame(9))
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
    rig.pusher.offer([frame(1)])
    await asyncio.sleep(0)  # it is on its way when the second beat comes
    rig.pusher.offer([frame(2)])
    rig.pusher.offer([frame(3)])
    await rig.pusher.settle()
    assert rig.analyzer.frames == [b"<0>", b"<1>", b"<2>", b"<3>"]
    assert rig.spool.stats.spooled == 0


async def test_a_frame_that_is_rejected_is_dropped_alone(rig: Rig) -> None:
    rig.analyzer.status = 0
    await rig.tick(9)
    rig.analyzer.status, rig.analyzer.poison = 200, b"<4>"
    rig.clock.now += 10
    await rig.tick()
    assert set(rig.analyzer.frames) == rig.all_frames() - {b"<4>"}
    assert rig.pusher.stats.rejected == 1
    assert rig.spool.frames == 0
    assert all(len(positions(rig.analyzer.frames, frame)) <= 2 for frame in rig.all_frames())


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
