"""A beat reads its sources at once; one that raises takes no other with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest

from agent.beat import METRICS, Beat
from agent.reading import Reading
from model.labels import NAME, Labels
from model.metric import Metric


class Scripted:
    """A source that says its name, or raises what a test tells it to."""

    interval = 1000
    exported = True

    def __init__(self, name: str) -> None:
        self.series = [Labels({NAME: name})]
        self.fault: BaseException | None = None

    def metrics(self) -> Iterable[Metric]:
        return ()

    async def read(self, at: int) -> Reading:
        if self.fault is not None:
            raise self.fault
        return Reading(at, self.series, [1.0])

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_source_that_raises_costs_the_frame_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    beat, good, bad = Beat(1000, "n", b"b" * 16), Scripted("good"), Scripted("bad")
    beat.sources = {0: good, 1: bad}
    assert set(await beat.read(1000)) == {0, 1}
    for number, fault in enumerate((ValueError("x"), ValueError("y"), asyncio.CancelledError(), None)):
        bad.fault = fault
        readings = await beat.read(2000 + number)
        assert set(readings) == ({0} if fault is not None else {0, 1})
        assert readings[0].at == 2000 + number
        assert beat.frame(2000, number).data
    assert [record.getMessage() for record in caplog.records] == [
        "the reading of Scripted failed; the others go on",
        "the reading of Scripted failed; the others go on",
        "the reading of Scripted works again",
    ], "once for each change: another fault is another one"
    assert {sample.name: sample.value for sample in beat.samples()}[
        "fleetowl_agent_readings_failed_total"
    ] == 3.0
    assert {sample.name for sample in beat.samples()} == {metric.name for metric in METRICS}


async def test_a_beat_that_is_cancelled_ends() -> None:
    beat, hanging = Beat(1000, "n", b"b" * 16), Scripted("hanging")
    gate = asyncio.Event()

    async def hang(at: int) -> Reading:
        await gate.wait()
        return Reading(at, [], [])

    hanging.read = hang  # type: ignore[method-assign]
    beat.sources = {0: hanging}
    task = asyncio.create_task(beat.read(1000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
