"""Reading a page: a large one keeps nobody waiting, and what is forged or churns stays small."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import aiohttp
import pytest

from agent.engines.budget import NodeBudget
from agent.engines.fetch import Fetcher
from agent.engines.page import PageReader, ScrapeFailed
from agent.engines.scrape import Scraper
from agent.engines.settings import EngineSettings
from tests.agent.engines.conftest import Served, until

LARGE = b'x{n="1"} 1\n' + b"# comment\n" * 110_000
BETWEEN = b'x{n="1"} 1\n' + b"# comment\n" * 8000


def _settings(url: str = "http://h/metrics", **more: object) -> EngineSettings:
    return EngineSettings.model_validate({"job": "x", "url": url, **more})


class Gate:
    """Holds the decoding of a reader until it is opened."""

    def __init__(self, reader: PageReader, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._open = threading.Event(), threading.Event()
        decode: Callable[..., object] = reader._decode

        def hold(*args: object) -> object:
            self.begun.set()
            assert self._open.wait(2), "the loop does not go on"
            return decode(*args)

        monkeypatch.setattr(reader, "_decode", hold)

    def open(self) -> None:
        self._open.set()


async def test_the_loop_goes_on_while_a_large_page_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PageReader(_settings())
    gate = Gate(reader, monkeypatch)
    task = asyncio.create_task(reader.read(LARGE, "", 5.0))
    await until(gate.begun.is_set)
    assert reader.busy
    gate.open()
    page = await task
    assert (page.values, page.refused) == ([1.0], 0)
    await until(lambda: not reader.busy)


async def test_a_page_that_takes_too_long_is_given_up_and_nothing_touches_it_meanwhile(
    engine_server: Served, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_server.say("/metrics", LARGE)
    settings, budget = _settings(engine_server.url), NodeBudget(1000)
    scraper = Scraper(settings, Fetcher(settings.url, settings, lambda: session), 100, budget)
    gate = Gate(scraper.reader, monkeypatch)
    with pytest.raises(ScrapeFailed, match="too long to read") as caught:
        await scraper.scrape()
    assert caught.value.kind == "timeout"
    with pytest.raises(ScrapeFailed, match="still being read"):
        await scraper.scrape()
    assert len(engine_server.requests) == 1
    other = PageReader(_settings(), budget)
    with pytest.raises(ScrapeFailed, match="waits for others") as caught:
        await other.read(LARGE, "", 0.01)
    assert caught.value.kind == "timeout"
    assert (await other.read(b"y 2\n", "", 0.0)).values == [2.0], "a small page needs no turn"
    gate.open()
    scraper.timeout = 5000
    assert (await other.read(LARGE, "", 5.0)).values == [1.0]
    await until(lambda: not scraper.reader.busy)
    assert (await scraper.scrape()).values == [1.0]
    scraper.close()


async def test_a_page_is_read_aside_where_that_took_long_the_last_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = PageReader(_settings())
    seconds = iter([0.0, 0.001, 1.0, 1.3, 2.0, 2.001, 3.0, 3.001])
    monkeypatch.setattr("agent.engines.page.time.thread_time", lambda: next(seconds))
    aside = []
    for _ in range(4):
        reader._worker = None
        await reader.read(BETWEEN, "", 5.0)
        aside.append(reader._worker is not None)
    assert aside == [True, False, True, False], "the first time, and after the slow one"


async def test_garbage_in_a_large_page_is_malformed() -> None:
    reader = PageReader(_settings())
    with pytest.raises(ScrapeFailed, match="no metrics page") as caught:
        await reader.read(LARGE + b"][\n", "", 5.0)
    assert caught.value.kind == "malformed"


async def test_what_churns_is_remembered_within_the_limit() -> None:
    reader = PageReader(_settings(sample_limit=300))
    for number in range(30):
        body = b"".join(
            b"# TYPE a_long_name_%d_%d counter\na_long_name_%d_%d 1\n" % (number, n, number, n)
            for n in range(1000)
        )
        await reader.read(body, "", 5.0)
    assert len(reader._decoder.labels) <= 2 * 300 + 1000 + 300


async def test_comments_are_remembered_within_a_limit() -> None:
    reader = PageReader(_settings())
    comments = b"".join(b"# TYPE a_long_name_%d counter\n" % number for number in range(9000))
    assert (await reader.read(comments + b"x 1\n", "", 5.0)).values == [1.0]
    assert len(comments) > 256 * 1024
    assert sum(map(len, reader._decoder.comments)) < 129 * 1024
