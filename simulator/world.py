"""What the parts of the simulated cluster share: time, chance, delays, and the journal of what happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from model.moment import format_moment
from model.topology import Entity
from simulator.ranges import draw_duration
from simulator.settings import DelaySettings
from simulator.timeline import Timeline


class Happening(NamedTuple):
    """One thing that happened: when (ms), to whom, and the sentence that says it."""

    at: int
    entity: Entity
    sentence: str

    def __str__(self) -> str:
        return f"{format_moment(self.at)} {self.entity}: {self.sentence}"


class World:
    """Shared by every part of one cluster. `now` is the virtual time (ms) of the present slice."""

    def __init__(self, delays: DelaySettings, seed: int, now: int) -> None:
        self.now = now
        self.random = random.Random(f"world {seed}")
        self.timeline = Timeline()
        self.journal: list[Happening] = []
        self.listeners: list[Callable[[Happening], None]] = []
        self._delays = delays
        self._compressed: dict[object, Mapping[str, tuple[int, int]]] = {}

    def note(self, entity: Entity, sentence: str) -> None:
        """Write one sentence into the journal."""
        happening = Happening(self.now, entity, sentence)
        self.journal.append(happening)
        for listener in self.listeners:
            listener(happening)

    def delay(self, name: str) -> int:
        """How long the delay `name` (a field of DelaySettings) takes this time (ms)."""
        span: tuple[int, int] = getattr(self._delays, name)
        for compressed in self._compressed.values():
            span = compressed.get(name, span)
        return draw_duration(span, self.random)

    def after(self, name: str, action: Callable[[int], None]) -> None:
        """Do `action` once the delay `name` is over."""
        self.timeline.plan(self.now + self.delay(name), action)

    def compress(self, owner: object, spans: Mapping[str, tuple[int, int]]) -> None:
        """Let these delays be others until `owner` releases them."""
        self._compressed[owner] = spans

    def release(self, owner: object) -> None:
        """End what `owner` compressed."""
        self._compressed.pop(owner, None)
