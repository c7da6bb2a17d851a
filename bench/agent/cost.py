"""CPU, memory and the time of /metrics with GPUs and engines; prometheus-node-exporter beside it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bench.agent.processes import usage
from bench.agent.world import World, engine_page, free_port, running_agent
from simulator.nvml.stub import Stub

MEMORY_AIM_MB = 64.0
CPU_AIM_PERCENT = 1.0
SCRAPE_AIM_MS = 5.0
_RUSH = 500  # scrapes in a row, for the percentile


@dataclass(frozen=True)
class Cost:
    """Of one process tree over the run, scraped once a second."""

    pss_mb: float
    cpu_percent: float
    scrape_median_ms: float
    scrape_p99_ms: float
    page_bytes: int
    series: int
    processes: int


async def _scrape(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        return await answer.read()


async def _rush(url: str) -> tuple[float, float]:
    """Median and p99 of many scrapes in a row, ms."""
    scraper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.agent.scraper", urlsplit(url).netloc, str(_RUSH)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await scraper.communicate()
    found = json.loads(said)
    return found["median"], found["p99"]


async def measure(pid: int, seconds: float, url: str) -> Cost:
    """Scrape once a second for `seconds` and watch what it costs; then many scrapes in a row for the p99."""
    before, began = usage(pid), time.monotonic()
    worst = before.pss_mb
    async with aiohttp.ClientSession() as session:
        while time.monotonic() - began < seconds:
            body = await _scrape(session, url)
            worst = max(worst, usage(pid).pss_mb)
            await asyncio.sleep(1)
        after = usage(pid)
        cpu = 100 * (after.cpu_seconds - before.cpu_seconds) / (time.monotonic() - began)
    middle, slowest = await _rush(url)
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    return Cost(worst, cpu, middle, slowest, len(body), series, after.processes)


async def agent(seconds: float, gpus: int, engines: int, folder: Path, interval: str) -> Cost:
    world = World()
    with Stub(folder, gpus=gpus, profile="h100") as stub:
        async with running_agent(world, folder, stub.environment(), engines, interval=interval) as process:
            return await measure(process.pid, seconds, f"{world.agent}/metrics")


async def peer(seconds: float) -> Cost | None:
    """None if the package is not installed."""
    binary = shutil.which("prometheus-node-exporter")
    if binary is None:
        return None
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        binary, f"--web.listen-address=127.0.0.1:{port}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(5)
        return await measure(process.pid, seconds, f"http://127.0.0.1:{port}/metrics")
    finally:
        process.terminate()
        await process.wait()


async def bench(seconds: float, gpus: int, engines: int, folder: Path, interval: str = "1s") -> bool:
    """Print the figures; whether all aims are met."""
    ours, theirs = await asyncio.gather(agent(seconds, gpus, engines, folder, interval), peer(seconds))
    page = sum(not line.startswith("#") for line in engine_page(1).splitlines())
    print(f"cost: {gpus} GPUs (stub), {engines} engines of {page} series, every {interval}")
    print("  scraped each second, pushing to an analyzer that only counts")
    print(f"  {ours.processes} processes, {ours.series} series, a page of {ours.page_bytes / 1000:.0f} kB")
    print(f"  /metrics median {ours.scrape_median_ms:.2f} ms")
    met = [
        _line("PSS", ours.pss_mb, "MB", MEMORY_AIM_MB),
        _line("CPU", ours.cpu_percent, "% of a core", CPU_AIM_PERCENT),
        _line("/metrics p99", ours.scrape_p99_ms, "ms", SCRAPE_AIM_MS),
    ]
    if theirs is None:
        print("  peer absent: apt-get install prometheus-node-exporter")
    else:
        print(
            f"  peer prometheus-node-exporter, same scrape: PSS {theirs.pss_mb:.1f} MB, CPU "
            f"{theirs.cpu_percent:.2f} %, median {theirs.scrape_median_ms:.1f} ms, p99 "
            f"{theirs.scrape_p99_ms:.1f} ms, {theirs.series} series"
        )
    return all(met)


def _line(name: str, value: float, unit: str, aim: float) -> bool:
    met = value <= aim
    print(f"  {name} {value:.2f} {unit} (aim <= {aim:g}: {'met' if met else 'MISSED'})")
    return met
