"""Recorded engines, replayed over real HTTP at their real times: who stalls, and who only looks like it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.processes import Process, Webhook
from tests.acceptance.replays import Replay

pytestmark = pytest.mark.acceptance

Expose = Callable[[Callable[[], str]], Awaitable[tuple[str, web.AppRunner]]]
Start = Callable[..., Awaitable[Process]]

RESUMES_AFTER = (1795177124158 - 1795177108960) / 1000
"""Seconds from the first capture of series-hung-worker to the first one after the worker came back."""


def scraping(webhook: Webhook, *addresses: str) -> dict[str, Any]:
    return {
        "scrape_configs": [
            {
                "job_name": "vllm",
                "scrape_interval": "1s",
                "scrape_timeout": "900ms",
                "static_configs": [{"targets": list(addresses)}],
            }
        ],
        "alertmanager": {
            "route": {"receiver": "hook", "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook.url}]}],
        },
    }


async def watch(process: Process, seconds: float) -> dict[tuple[str, str, str], float]:
    """Every alert but the dead man's that fired within so many seconds: (name, instance, engine) to when."""
    seen: dict[tuple[str, str, str], float] = {}
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for alert in (await process.get("/api/v1/alerts") or {"alerts": []})["alerts"]:
            if alert["state"] == "firing" and alert["labels"]["alertname"] != "Watchdog":
                labels = alert["labels"]
                seen.setdefault(
                    (labels["alertname"], labels.get("instance", ""), labels.get("engine", "")), passed
                )
        await asyncio.sleep(0.2)
    return seen


def as_engine(number: int) -> Callable[[str], str]:
    return lambda body: re.sub(r'engine="\d+"', f'engine="{number}"', body)


def merged(bodies: list[str]) -> str:
    """One exposition with the engine series of several, and the process series of the first."""
    rest = [
        "\n".join(line for line in body.splitlines() if line.startswith("vllm:") and "engine=" in line)
        for body in bodies[1:]
    ]
    return bodies[0].rstrip("\n") + "\n" + "\n".join(rest) + "\n"


async def test_of_two_engines_only_the_hung_one_is_named(
    shared_data: Path, expose: Expose, start: Start, webhook: Webhook
) -> None:
    hung, light = (Replay(shared_data / "vllm" / f"series-{name}") for name in ("hung-worker", "light-load"))
    (hung_at, _), (light_at, _) = await expose(hung.body), await expose(light.body)
    process = await start("analyzer", scraping(webhook, hung_at, light_at))
    hung.begin()
    light.begin()
    fired = await watch(process, hung.length)
    stalls = {key: at for key, at in fired.items() if key[0] == "EngineStalled"}
    assert list(stalls) == [("EngineStalled", hung_at, "0")], process.tail()
    assert stalls["EngineStalled", hung_at, "0"] < RESUMES_AFTER
    assert next(s[:3] for s in webhook.states() if s[0] == "EngineStalled") == (
        "EngineStalled",
        hung_at,
        "firing",
    )


async def test_of_two_engines_in_one_instance_only_the_hung_one_is_named(
    shared_data: Path, expose: Expose, start: Start, webhook: Webhook
) -> None:
    hung = Replay(shared_data / "vllm" / "series-hung-worker", as_engine(1))
    light = Replay(shared_data / "vllm" / "series-light-load", as_engine(0))
    address, _ = await expose(lambda: merged([light.body(), hung.body()]))
    process = await start("analyzer", scraping(webhook, address))
    hung.begin()
    light.begin()
    fired = await watch(process, hung.length)
    stalls = {key: at for key, at in fired.items() if key[0] == "EngineStalled"}
    assert list(stalls) == [("EngineStalled", address, "1")], process.tail()
    assert stalls["EngineStalled", address, "1"] < RESUMES_AFTER


async def test_overload_and_idle_are_no_stall(
    shared_data: Path, expose: Expose, start: Start, webhook: Webhook
) -> None:
    overload = Replay(shared_data / "vllm" / "series-overload")
    idle = (shared_data / "vllm" / "idle.prom").read_text()
    (busy_at, _), (idle_at, _) = await expose(overload.body), await expose(lambda: idle)
    process = await start("analyzer", scraping(webhook, busy_at, idle_at))
    overload.begin()
    fired = await watch(process, overload.length + 5)
    assert [key for key in fired if key[0] == "EngineStalled"] == []
    assert [key for key in fired if key[1] == idle_at] == []


async def test_a_crash_is_one_alert(
    shared_data: Path, expose: Expose, start: Start, webhook: Webhook
) -> None:
    crash = Replay(shared_data / "vllm" / "series-engine-crash")
    address, runner = await expose(crash.body)
    process = await start("analyzer", scraping(webhook, address))
    crash.begin()
    before = await watch(process, crash.length + 0.9)
    assert before == {}
    await runner.cleanup()  # from here on connections are refused, as after the real crash
    fired = await watch(process, 12)
    assert list(fired) == [("EngineGone", address, "")], process.tail()
    assert {state[:3] for state in webhook.states()} == {("EngineGone", address, "firing")}
