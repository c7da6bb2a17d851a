"""One of eight GPUs whose driver call hangs: how fresh the others stay, and how soon it is said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.agent.world import World, running_agent
from model.labels import Labels
from simulator.nvml.stub import Stub

REPORT_AIM_SECONDS = 30.0
STALENESS_AIM_SECONDS = 2.0
_VICTIM = 3


class Freshness:
    """Follows a value that changes each second, for each GPU, and the report of the hang."""

    def __init__(self) -> None:
        self.changed: dict[str, float] = {}
        self.worst: dict[str, float] = {}
        self.hung_at: float | None = None
        self._value: dict[str, float] = {}

    def listen(self, now: float, values: dict[Labels, float]) -> None:
        for labels, value in values.items():
            if labels.name == "DCGM_FI_DEV_GPU_TEMP":
                self._temperature(labels["gpu"], value, now)
            elif labels.name == "fleetowl_probe_hung" and value == 1 and self.hung_at is None:
                self.hung_at = now

    def begin(self) -> None:
        self.worst.clear()

    def _temperature(self, gpu: str, value: float, now: float) -> None:
        if self._value.get(gpu) != value:
            self.worst[gpu] = max(self.worst.get(gpu, 0.0), now - self.changed.get(gpu, now))
            self._value[gpu], self.changed[gpu] = value, now

    def staleness(self, gpu: str, now: float) -> float:
        """The longest time that its value stood still, seconds."""
        return max(self.worst.get(gpu, 0.0), now - self.changed.get(gpu, 0.0))


async def bench(seconds: float, folder: Path) -> bool:
    """Hang one GPU for `seconds`; print and judge what the analyzer saw meanwhile."""
    world, fresh = World(), Freshness()
    world.listen = fresh.listen
    with Stub(folder, gpus=8, profile="h100") as stub:
        async with running_agent(world, folder, stub.environment()):
            beating = asyncio.create_task(_beat(stub))
            await asyncio.sleep(5)
            fresh.begin()
            began = time.monotonic()
            stub.gpus[_VICTIM].hang("nvmlDeviceGetTemperature", seconds=seconds)
            stub.gpus[_VICTIM].hang("nvmlDeviceGetTemperatureV", seconds=seconds)
            await asyncio.sleep(seconds)
            now = time.monotonic()
            others = max(fresh.staleness(str(gpu), now) for gpu in range(8) if gpu != _VICTIM)
            await asyncio.sleep(5)
            back = time.monotonic() - fresh.changed[str(_VICTIM)] < 3
            beating.cancel()
    reported = (fresh.hung_at or float("inf")) - began
    print(f"hang: one of 8 GPUs for {seconds:g} s, interval 1 s")
    print(f"  reported after {reported:.1f} s (aim <= {REPORT_AIM_SECONDS:g}), back afterwards: {back}")
    print(f"  the others stood still for at most {others:.2f} s (aim <= {STALENESS_AIM_SECONDS:g})")
    return reported <= REPORT_AIM_SECONDS and others <= STALENESS_AIM_SECONDS and back


async def _beat(stub: Stub) -> None:
    """Another temperature, four times a second."""
    for step in range(1_000_000):
        for gpu in stub.gpus:
            gpu.set(temperature=30 + step % 50)
        await asyncio.sleep(0.25)
