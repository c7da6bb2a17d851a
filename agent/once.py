"""One look at this node: its sources read twice, without listening or pushing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from agent.main import Agent
from agent.settings import AgentSettings
from agent.snapshot.build import snapshot
from agent.snapshot.facts import Row
from agent.snapshot.shape import NodeView, Snapshot

PAUSE_SECONDS = 1.0
"""Between two readings: what is a rate needs both."""

PATIENCE_SECONDS = 15.0
"""For a driver that wakes up: without persistence mode that takes seconds."""


async def look(
    settings: AgentSettings,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Snapshot:
    """What the sources say. Two readings, and more while the driver or a GPU has not answered yet."""
    async with Agent(settings, quiet=True) as agent:
        now = (clock(), await _rows(agent, clock()))
        began, settled = clock(), False
        while True:
            await sleep(PAUSE_SECONDS)
            before, was_settled = now, settled
            now = (clock(), await _rows(agent, clock()))
            seen = snapshot(before, now, settings.node)
            settled = not any(_waits(node) for node in seen.nodes)
            # What the driver said first was said without a rate.
            enough = settled and (was_settled or not any(node.gpus for node in seen.nodes))
            if enough or clock() - began >= PATIENCE_SECONDS:
                return seen


async def _rows(agent: Agent, at: float) -> list[Row]:
    """The series of all sources as they are pushed: with their node."""
    readings = [
        reading
        for beat in list(agent.beats.values())
        for reading in (await beat.read(int(at * 1000))).values()
    ]
    return [row for reading in readings for row in zip(reading.series, reading.values, strict=True)]


def _waits(node: NodeView) -> bool:
    return node.driver_state == "waiting" or any(gpu.state == "waiting" for gpu in node.gpus)
