"""From an XID that the driver reports to the event at the analyzer."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from bench.agent.world import World, running_agent
from simulator.nvml.stub import Stub

AIM_SECONDS = 1.0
_CODES = (79, 48, 63, 94, 31, 119)


async def bench(rounds: int, folder: Path) -> bool:
    """Print median and worst of `rounds` XIDs at random moments of the agent's beat."""
    world, took = World(), list[float]()
    chance = random.Random(1)
    with Stub(folder, gpus=8, profile="h100") as stub:
        async with running_agent(world, folder, stub.environment()):
            for number in range(rounds):
                await asyncio.sleep(1.2 + chance.random())
                code, seen = _CODES[number % len(_CODES)], len(world.events)
                began = time.monotonic()
                stub.gpus[number % 8].xid(code)
                took.append(await _arrival(world, seen, str(code), began) - began)
    worst, middle = max(took), sorted(took)[len(took) // 2]
    print(f"event: {rounds} XIDs, from the driver to the analyzer's door")
    print(f"  median {middle * 1000:.0f} ms, worst {worst * 1000:.0f} ms (aim <= {AIM_SECONDS:g} s)")
    return worst <= AIM_SECONDS


async def _arrival(world: World, seen: int, code: str, began: float) -> float:
    """When the event of this code came; infinity if it did not within ten seconds."""
    while time.monotonic() - began < 10:
        for at, event in world.events[seen:]:
            if event.type == "xid" and event.labels.get("xid") == code:
                return at
        await asyncio.sleep(0.002)
    return float("inf")
