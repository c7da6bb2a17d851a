"""Queries share the loop: one slice in each of its turns, in turn, bounded in number and time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analyzer.api import turns as module
from analyzer.api.errors import ApiError
from analyzer.api.evaluation import Evaluation
from analyzer.api.turns import Turns
from model.labels import NAME, Labels
from rules.promql.context import DEFAULT_OPTIONS, Notes
from rules.promql.expression import parse
from telemetry.window import Window

START = 1_800_000_000_000


class Watch:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def request(there: bool = True) -> Any:
    return SimpleNamespace(transport=object() if there else None)


async def test_one_slice_in_each_turn_of_the_loop() -> None:
    watch = Watch()
    turns = Turns(0.01, watch)
    log: list[str] = []

    async def query(name: str) -> None:
        async with turns.take(request()) as turn:
            for _ in range(20):
                watch.seconds += 0.02
                log.append(name)
                await turn.rest()

    async def beat() -> None:
        for _ in range(500):
            log.append(".")
            await asyncio.sleep(0)

    await asyncio.gather(query("a"), query("b"), query("c"), beat())
    said = "".join(log)
    assert said.count("a") == said.count("b") == said.count("c") == 20
    assert not any(pair in said for pair in ("ab", "bc", "ca", "aa")), "two slices in one turn of the loop"
    assert "abcabcabc" in said.replace(".", "")


async def test_work_within_its_slice_is_not_interrupted() -> None:
    watch = Watch()
    turns = Turns(0.01, watch)
    turned = 0

    async def beat() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    async with turns.take(request()) as turn:
        for _ in range(100):
            await turn.rest()
    beating.cancel()
    assert turned <= 2


async def test_more_than_a_few_wait_and_time_out_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)
    turns = Turns()
    async with turns.take(request()):
        with pytest.raises(ApiError, match="query timed out in query queue"):
            async with turns.take(request(), 0.01):
                pass
    async with turns.take(request(), 0.01):
        pass


async def test_time_is_up_in_the_middle_and_the_next_one_goes_on() -> None:
    watch = Watch()
    turns = Turns(0.01, watch)

    async def late() -> None:
        async with turns.take(request(), 5) as turn:
            watch.seconds += 6
            await turn.rest()

    with pytest.raises(ApiError, match="query timed out in query execution") as error:
        await late()
    assert error.value.status == 503
    async with turns.take(request(), 5) as turn:
        await turn.rest()


async def test_nobody_works_for_who_has_left() -> None:
    watch = Watch()
    turns = Turns(0.01, watch)

    async def abandoned() -> None:
        async with turns.take(request(there=False)) as turn:
            watch.seconds += 1
            await turn.rest()

    with pytest.raises(ApiError, match="canceled"):
        await abandoned()


async def test_a_cancelled_query_hands_its_turn_on() -> None:
    watch = Watch()
    turns = Turns(0.01, watch)

    async def endless() -> None:
        async with turns.take(request()) as turn:
            while True:
                watch.seconds += 1e-2
                await turn.rest()

    queries = [asyncio.create_task(endless()) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    for query in queries:
        query.cancel()
    await asyncio.gather(*queries, return_exceptions=True)
    async with turns.take(request(), 1):
        pass


async def test_a_range_query_rests_after_each_step() -> None:
    window = Window()
    target = window.target("rooms", 5000)
    ids = np.array([window.series(target, Labels({NAME: "m"}), "gauge")])
    for at in range(START - 100_000, START + 1, 5000):
        window.append(target, at, ids, np.ones(1))
    turned = 0

    async def beat() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    turns = Turns(-1.0)
    async with turns.take(request()) as turn:
        evaluation = Evaluation(window, parse("m"), DEFAULT_OPTIONS, Notes())
        joined = await evaluation.range(START - 100_000, START, 1000, turn)
    beating.cancel()
    assert joined.points == 101
    assert turned >= 101, "the tick had its turn between two steps"
