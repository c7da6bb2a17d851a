"""While the detectors are compiled somebody answers, and then the analyzer has the address."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest

from analyzer.settings import AnalyzerSettings
from analyzer.waiting import Told, WaitingRoom, beside


async def asked(own: AnalyzerSettings, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.post(f"http://{own.listen}{path}") as answer:
        return answer.status, await answer.text(), answer.headers.get("Retry-After", "")


async def test_it_lives_is_not_ready_and_sends_senders_away_until_the_work_is_done(
    unused_tcp_port: int,
) -> None:
    own = AnalyzerSettings(listen=f"127.0.0.1:{unused_tcp_port}")
    goes_on, told = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(tell: Told) -> None:
        tell(2, 7)
        loop.call_soon_threadsafe(told.set)
        assert goes_on.wait(10)

    waiting = asyncio.create_task(beside(work, own, asyncio.Event()))
    await told.wait()
    assert await asked(own, "/-/healthy") == (
        200,
        "Fleetowl is healthy: it compiles its detectors, or loads them: 2 of 7 are ready.\n",
        "",
    )
    for path in ("/-/ready", "/api/v1/write", "/"):
        said = "Fleetowl is not ready: it compiles its detectors, or loads them: 2 of 7 are ready.\n"
        assert await asked(own, path) == (503, said, "5")
    goes_on.set()
    assert await waiting
    room = WaitingRoom(own)
    await room.open()  # the address is free again
    assert (await asked(own, "/-/healthy"))[0] == 200
    await room.close()


async def test_an_end_does_not_wait_for_the_work() -> None:
    goes_on, over = threading.Event(), asyncio.Event()
    over.set()

    def work(tell: Told) -> None:
        goes_on.wait(10)

    assert not await beside(work, AnalyzerSettings(listen="127.0.0.1:0"), over)
    goes_on.set()


async def test_what_the_work_raises_is_raised() -> None:
    def work(tell: Told) -> None:
        raise RuntimeError("no compiler")

    with pytest.raises(RuntimeError, match="no compiler"):
        await beside(work, AnalyzerSettings(listen="127.0.0.1:0"), asyncio.Event())


async def test_an_address_that_is_taken_is_left_to_the_analyzer_to_say(unused_tcp_port: int) -> None:
    own = AnalyzerSettings(listen=f"127.0.0.1:{unused_tcp_port}")
    first = WaitingRoom(own)
    await first.open()
    assert await beside(lambda told: None, own, asyncio.Event())
    await first.close()
