"""A GPU node and its analyzer in virtual time: the real probe on a stub driver, the real sources, all rules.

Only the clock is ours: a scenario of ten minutes runs in seconds, and an alert fires when it would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.main import Agent
from agent.reading import Outgoing
from agent.registry import discover
from agent.settings import AgentSettings
from analyzer.assembly import assemble, prepare
from analyzer.central import CentralSettings
from analyzer.pipeline import Pipeline
from model.labels import Labels
from model.metric import Sample
from model.settings import load_section
from simulator.nvml.player import Player
from simulator.nvml.scenario import find_scenario, load_scenario

INTERVAL = 5_000
"""Time between two beats of the agent, ms."""


class Wire:
    """In the place of a pusher: hands frames straight to the pipeline."""

    def __init__(self, pipeline: Pipeline, now: Callable[[], int]) -> None:
        self._pipeline, self._now = pipeline, now
        self._announced = b""

    def offer(self, frames: Collection[Outgoing]) -> None:
        for frame in frames:
            schema = b"" if frame.key == self._announced else frame.schema
            self._announced = frame.key
            received = self._pipeline.frames.receive(schema + frame.data, self._now())
            assert received.status == 200, received.reason

    def hurry(self, frame: Outgoing, _: float) -> None:
        self.offer([frame])

    def samples(self) -> list[Sample]:
        return []

    async def close(self, _: Outgoing) -> None:
        pass


class Rig:
    """One node `gpu-7`, stepped by `until`; `fired` holds when each alert first fired (s)."""

    def __init__(self, player: Player, agent: Agent, pipeline: Pipeline, start: int) -> None:
        self.player, self.agent, self.pipeline = player, agent, pipeline
        self.start = self.now = start
        self.fired: dict[tuple[str, str], float] = {}
        self.values: dict[Labels, float] = {}

    async def begin(self) -> None:
        """Wait, in real time, until the probe has come up: that is no part of the story."""
        (beat,) = self.agent.beats.values()
        for _ in range(200):
            await beat.read(self.now)
            names = {labels.name for reading in beat.latest.values() for labels in reading.series}
            if "DCGM_FI_DEV_GPU_TEMP" in names:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the probe never answered")

    async def until(self, second: float, each: Callable[[], None] = lambda: None) -> None:
        """Let the story go on to this second; `each` is called after each beat."""
        while self.second < second:
            self.now += INTERVAL
            self.player.advance(self.second)
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
                self.fired.setdefault(key, self.second)
            each()

    @property
    def second(self) -> float:
        """Since the story began."""
        return (self.now - self.start) / 1000

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
async def rig(
    scenario: str, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    """The scenario of that name at its beginning. The probe finds the driver by the environment."""
    story = load_scenario(find_scenario(scenario))
    with story.stub(folder, cache=cache, stepped=True) as stub:
        for name, value in stub.environment().items():
            monkeypatch.setenv(name, value)
        start = int(time.time()) // 60 * 60_000
        pipeline = _pipeline(folder / "state", start)
        async with Agent(_settings(folder), quiet=True) as agent:
            made = Rig(Player(story, stub), agent, pipeline, start)
            agent.pushers = [Wire(pipeline, lambda: made.now)]  # type: ignore[list-item]
            await made.begin()
            yield made


def _settings(folder: Path) -> AgentSettings:
    """The GPUs and their XIDs, and nothing of the machine that runs the test.

    Every sweep asks the slow readers too: their interval is real time, and the story's is not.
    """
    settings = AgentSettings.model_validate(
        {
            "node": "gpu-7",
            "interval": f"{INTERVAL}ms",
            "listen": "127.0.0.1:0",
            "collectors": {"disable": list(discover())},
            "kernel_log": {"enabled": False},
            "pods": {"enabled": False},
            "sysfs": str(folder),
            "gpu": {
                "deadline": "1s",
                "hung_after": "10ms",
                "last_seen": str(folder / "gpus.json"),
            },
        }
    )
    return settings.model_copy(update={"gpu": settings.gpu.model_copy(update={"slow_interval": 1})})


def _pipeline(state: Path, start: int) -> Pipeline:
    state.mkdir()
    own = {"analyzer": {"listen": "127.0.0.1:0", "state_directory": str(state)}}
    return assemble(prepare(load_section(CentralSettings, own, "test.yml")), start)
