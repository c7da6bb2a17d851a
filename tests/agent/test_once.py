"""One look at a node, with a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from agent.host import Host
from agent.once import PATIENCE_SECONDS, look
from agent.settings import AgentSettings

PAGE = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0",model_name="m"} %d
"""


class Clock:
    """Time goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Engine:
    """Brings forth a hundred tokens between two scrapes."""

    def __init__(self) -> None:
        self.scrapes = 0
        self.url = ""

    async def metrics(self, _: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(text=PAGE % (100 * self.scrapes))


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    app = web.Application()
    app.add_routes([web.get("/metrics", engine.metrics)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    yield engine
    await runner.cleanup()


def settings(host: Host, **more: object) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "node": "gpu-7",
            "procfs": host.procfs,
            "sysfs": host.sysfs,
            "collectors": {"disable": ["filesystem"]},
            # Neither is ever touched: it does not listen, and it does not push.
            "listen": "192.0.2.1:1",
            "push": {"url": "http://192.0.2.1:1", "spool": {"directory": "/dev/null/no"}},
            **more,
        }
    )


async def test_it_reads_twice_and_neither_listens_nor_pushes(host: Host, engine: Engine) -> None:
    clock = Clock()
    seen = await look(
        settings(host, engines=[{"job": "vllm", "url": engine.url}]), clock=clock, sleep=clock.sleep
    )
    (node,) = seen.nodes
    assert (node.node, node.host.cpus, node.host.load1) == ("gpu-7", 2, 0.5)
    (one,) = node.engines
    assert (one.model_name, one.requests_running) == ("m", 4.0)
    assert (engine.scrapes, one.generation_tokens_per_second) == (2, 100.0)
    assert node.driver_state == "absent"
    assert not seen.broken


async def test_an_engine_that_is_not_there_is_broken(host: Host) -> None:
    clock = Clock()
    seen = await look(
        settings(host, engines=[{"job": "vllm", "url": "http://127.0.0.1:1/metrics"}]),
        clock=clock,
        sleep=clock.sleep,
    )
    assert seen.broken
    assert seen.nodes[0].wrong[0].subject == "engine vllm at 127.0.0.1:1"
    assert clock.now - 1_700_000_000.0 < PATIENCE_SECONDS
