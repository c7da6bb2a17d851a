"""What surrounds the agent in these measurements: engines like vLLM, and an analyzer that listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from model.labels import Labels
from wire.event import EventRecord, unpack_event
from wire.frames import Frame, Kind, Schema, decode_stream, unpack_schema, unpack_values

_BUCKETS = (
    ".001", ".005", ".01", ".02", ".04", ".06", ".08", ".1", ".25", ".5", ".75", "1", "2.5", "5", "7.5", "10",
    "20", "40", "80", "160", "640", "2560", "+Inf",
)  # fmt: skip
_HISTOGRAMS = (
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
    "e2e_request_latency_seconds",
    "request_queue_time_seconds",
    "request_prefill_time_seconds",
    "request_decode_time_seconds",
    "request_inference_time_seconds",
    "request_prompt_tokens",
    "request_generation_tokens",
    "request_time_per_output_token_seconds",
    "iteration_tokens_total",
)
_GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
_COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "num_preemptions",
    "prefix_cache_queries",
    "prefix_cache_hits",
)
_START = 60.0  # seconds that an agent is given to come up
_SETTLE = 5.0  # and to have met everything once

_RUN_AGENT = """
import asyncio, json, signal, sys
from agent.main import run
from agent.malloc import use_one_arena
from agent.settings import AgentSettings
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(AgentSettings.model_validate(json.loads(sys.argv[1])), stop)
use_one_arena()
asyncio.run(main())
"""


def engine_page(step: int) -> str:
    """A page of about 300 series whose numbers move."""
    labels = 'engine="0",model_name="llama"'
    lines = []
    for name in _GAUGES:
        lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{labels}}} {step % 17}.0"]
    for name in _COUNTERS:
        lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{labels}}} {step * 37}.0"]
    for name in _HISTOGRAMS:
        lines.append(f"# TYPE vllm:{name} histogram")
        lines += [
            f'vllm:{name}_bucket{{{labels},le="{bound}"}} {step * place}.0'
            for place, bound in enumerate(_BUCKETS)
        ]
        lines += [f"vllm:{name}_count{{{labels}}} {step * 22}.0", f"vllm:{name}_sum{{{labels}}} {step * 3.7}"]
    return "\n".join(lines) + "\n"


class World:
    """Takes frames and answers as vLLM would. `listen` is told each frame as it arrives, decoded."""

    def __init__(self) -> None:
        self.requests = self.bytes = self.scrapes = 0
        self.events: list[tuple[float, EventRecord]] = []
        """When an event arrived (monotonic seconds), and the event."""
        self.listen: Callable[[float, dict[Labels, float]], None] | None = None
        self.url = ""
        self.engines: list[str] = []
        self.agent = ""
        """Where the agent that pushes here listens."""
        self._schemas: dict[bytes, Schema] = {}

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        self.bytes += len(body)
        for frame in decode_stream(body):
            if not self._take(frame, time.monotonic()):
                return web.json_response({"need_schema": True}, status=409)
        return web.json_response({"accepted": 1})

    def _take(self, frame: Frame, now: float) -> bool:
        if frame.kind is Kind.SCHEMA:
            self._schemas[frame.schema_hash] = unpack_schema(frame.payload)
        elif frame.kind is Kind.EVENT:
            self.events.append((now, unpack_event(frame.payload)))
        elif frame.kind is Kind.VALUES:
            schema = self._schemas.get(frame.schema_hash)
            if schema is None:
                return False
            if self.listen is not None:
                values = unpack_values(frame.payload, len(schema.series))
                present = zip(schema.series, values, strict=True)
                self.listen(now, {labels: value for labels, value in present if value is not None})
        return True

    async def page(self, _: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(
            text=engine_page(self.scrapes), headers={"Content-Type": "text/plain; version=1.0.0"}
        )

    async def other(self, request: web.Request) -> web.Response:
        """Its health, version and models."""
        answers: dict[str, Any] = {"version": {"version": "0.32.0"}, "v1/models": {"data": [{"id": "llama"}]}}
        return web.json_response(answers.get(request.match_info["what"], {}))

    async def start(self, engines: int) -> web.AppRunner:
        """An analyzer, and so many engines, each on a port of its own."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/api/v1/frames", self.take),
                web.get("/metrics", self.page),
                web.get("/{what:.*}", self.other),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        for _ in range(1 + engines):
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url, *self.engines = [f"http://127.0.0.1:{address[1]}" for address in runner.addresses]
        return runner


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(url: str) -> None:
    """Wait for the first collection. Raises TimeoutError if the agent does not come up."""
    async with asyncio.timeout(_START), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running_agent(
    world: World,
    folder: Path,
    environment: dict[str, str],
    engines: int = 0,
    gpu: dict[str, Any] | None = None,
    interval: str = "1s",
) -> AsyncIterator[asyncio.subprocess.Process]:
    """An agent in a process of its own, as in production, pushing to `world`."""
    runner = await world.start(engines)
    port = free_port()
    world.agent = f"http://127.0.0.1:{port}"
    configuration: dict[str, object] = {
        "listen": f"127.0.0.1:{port}",
        "interval": interval,
        "engines": [
            {"job": "vllm", "instance": f"llama-{number}", "url": f"{url}/metrics"}
            for number, url in enumerate(world.engines)
        ],
        "push": {"url": world.url, "spool": {"directory": f"{folder}/spool"}},
        "gpu": {"last_seen": f"{folder}/gpus.json", **(gpu or {})},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _RUN_AGENT,
        json.dumps(configuration),
        env={**os.environ, "STATE_DIRECTORY": str(folder), **environment},
    )
    try:
        await _ready(world.agent)
        await asyncio.sleep(_SETTLE)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await runner.cleanup()
