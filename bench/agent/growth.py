"""A hundred hangs of a second with the watchdog at 0.3 s: nothing may grow."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.agent.processes import Usage, usage
from bench.agent.world import World, running_agent
from simulator.nvml.stub import Stub

_WARM_UP = 10  # hangs before the first look: threads start lazily, caches fill
_MEMORY_SLACK_MB = 1.0


async def bench(hangs: int, folder: Path) -> bool:
    """Print threads, processes and memory before and after `hangs` hangs."""
    world = World()
    with Stub(folder, gpus=8, profile="h100") as stub:
        gpu = {"deadline": "300ms", "hung_after": "500ms"}
        async with running_agent(world, folder, stub.environment(), gpu=gpu) as process:
            await _hang(stub, _WARM_UP)
            before = usage(process.pid)
            await _hang(stub, hangs)
            await asyncio.sleep(2)
            after = usage(process.pid)
    print(f"growth: {hangs} hangs of 1 s, watchdog at 0.3 s")
    print(f"  before: {_words(before)}\n  after:  {_words(after)}")
    return (
        after.threads <= before.threads
        and after.processes <= before.processes
        and after.pss_mb <= before.pss_mb + _MEMORY_SLACK_MB
    )


async def _hang(stub: Stub, times: int) -> None:
    for number in range(times):
        stub.gpus[number % 8].hang("nvmlDeviceGetUtilizationRates", seconds=1.0)
        await asyncio.sleep(1.1)


def _words(found: Usage) -> str:
    return f"{found.processes} processes, {found.threads} threads, PSS {found.pss_mb:.1f} MB"
