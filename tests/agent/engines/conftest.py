"""An engine on loopback whose answers a test exchanges, and the client that speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

PAGE = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0",model_name="m"} 1234.0
# TYPE vllm:ttft_seconds histogram
vllm:ttft_seconds_bucket{le="0.1"} 1
vllm:ttft_seconds_bucket{le="+Inf"} 2
vllm:ttft_seconds_sum 0.3
vllm:ttft_seconds_count 2
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def until(condition: Callable[[], bool]) -> None:
    """What other tasks bring about, within two seconds."""
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110  (what is waited for knows nothing of tests)
            await asyncio.sleep(0.001)


class Served:
    """One engine. `handlers` answer by path; what has none gets 404."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.requests: list[web.Request] = []
        self.origin = ""
        self.say("/metrics", PAGE)

    @property
    def url(self) -> str:
        return f"{self.origin}/metrics"

    def say(self, path: str, body: str | bytes = b"", status: int = 200) -> None:
        """Answer this from now on."""
        data = body.encode() if isinstance(body, str) else body

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(body=data, status=status)

        self.handlers[path] = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        handler = self.handlers.get(request.path)
        return await handler(request) if handler is not None else web.Response(status=404)


@pytest.fixture
async def engine_server() -> AsyncIterator[Served]:
    engine = Served()
    app = web.Application()
    app.router.add_get("/{path:.*}", engine.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engine.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield engine
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session
