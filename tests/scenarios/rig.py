"""A GPU node and its analyzer in virtual time: the real probe on the stub driver, the real sources, all rules.

Only the clock is ours: a scenario of ten minutes runs in seconds, and an alert fires when it would.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.main import Agent
from agent.reading import Outgoing
from agent.registry import discover
from agent.settings import AgentSettings
from analyzer.assembly import assemble, prepare
from analyzer.central import CentralSettings
from analyzer.pipeline import Pipeline
from model.labels import Labels
from model.settings import load_section
from simulator.nvml.stub import Stub

INTERVAL = 5_000
"""Time between two beats of the agent, ms."""


class Wire:
    """In the place of a pusher: hands frames straight to the pipeline."""

    def __init__(self, pipeline: Pipeline, now: Callable[[], int]) -> None:
        self._pipeline, self._now = pipeline, now

    def offer(self, frames: Collection[Outgoing]) -> None:
        for frame in frames:
            received = self._pipeline.frames.receive(frame.schema + frame.data, self._now())
            assert received.status == 200, received.reason

    def hurry(self, frame: Outgoing, _: float) -> None:
        self.offer([frame])


class Rig:
    """One node `gpu-7`, stepped by `run`; `fired` holds each alert's first moment, in seconds of the scenario."""

    def __init__(self, stub: Stub, agent: Agent, pipeline: Pipeline, start: int) -> None:
        self.stub, self.agent, self.pipeline = stub, agent, pipeline
        self.start = self.now = start
        self.fired: dict[tuple[str, str], float] = {}
        self.values: dict[Labels, float] = {}

    async def run(self, seconds: float, each: Callable[[float], None] = lambda _: None) -> None:
        """Let so much time pass; `each` is told the scenario's second before each beat."""
        end = self.now + int(seconds * 1000)
        while self.now < end:
            self.now += INTERVAL
            self.stub.step(INTERVAL / 1000)
            each((self.now - self.start) / 1000)
            (beat,) = self.agent.beats.values()
            await self.agent.tick(beat, self.now)
            self.values = {
                labels: value
                for reading in beat.latest.values()
                for labels, value in zip(reading.series, reading.values, strict=True)
            }
            self.pipeline.step(self.now)
            for alert in self.pipeline.alerts:
                key = (alert.labels["alertname"], alert.labels.value("gpu"))
                self.fired.setdefault(key, (self.now - self.start) / 1000)

    def alerts(self) -> set[str]:
        """The names of all that has fired."""
        return {name for name, _ in self.fired}

    def of(self, name: str, **labels: str) -> dict[str, float]:
        """The newest values of a family by GPU, of the series with these labels."""
        return {
            series.value("gpu"): value
            for series, value in self.values.items()
            if series.name == name and all(series.value(key) == wanted for key, wanted in labels.items())
        }


@asynccontextmanager
async def rig(folder: Path, stub: Stub, monkeypatch: Any, **gpu: Any) -> AsyncIterator[Rig]:
    """A rig on this driver. The probe finds the driver by the environment."""
    for name, value in stub.environment().items():
        monkeypatch.setenv(name, value)
    start = int(time.time()) // 60 * 60_000
    settings = AgentSettings.model_validate(
        {
            "node": "gpu-7",
            "interval": f"{INTERVAL}ms",
            "listen": "127.0.0.1:0",
            "collectors": {"disable": list(discover())},
            "kernel_log": {"enabled": False},
            "pods": {"enabled": False},
            "sysfs": str(folder),
            "gpu": {"slow_interval": "1s", "deadline": "2s", "last_seen": str(folder / "gpus.json"), **gpu},
        }
    )
    state = folder / "state"
    state.mkdir()
    own = {"analyzer": {"listen": "127.0.0.1:0", "state_directory": str(state)}}
    pipeline = assemble(prepare(load_section(CentralSettings, own, "test.yml")), start)
    async with Agent(settings, quiet=True) as agent:
        made = Rig(stub, agent, pipeline, start)
        agent.pushers = [Wire(pipeline, lambda: made.now)]  # type: ignore[list-item]
        yield made
