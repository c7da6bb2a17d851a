"""An analyzer, a clock and a pusher between them, for the tests of delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.push import Answer, Backoff, Pusher
from agent.reading import Outgoing
from agent.spool import Spool

SCHEMA = b"<schema>"


KEY = b"schema-1"


def frame(number: int) -> Outgoing:
    return Outgoing(KEY, SCHEMA, b"<%d>" % number)


class Analyzer:
    """The other side: answers what `status` says, remembers what it accepted, in order."""

    def __init__(self) -> None:
        self.status = 200
        self.retry_after: float | None = None
        self.knows_schema = False
        self.poison: bytes | None = None
        self.largest = 1 << 30
        self.boot, self.window_end = "", 0
        self.fault: Exception | None = None
        self.requests = 0
        self.frames: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()

    async def post(self, body: bytes) -> Answer:
        self.requests += 1
        await self.open.wait()
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if self.status != 200:
            kind = {0: "connection", 401: "unauthorized", 429: "overload"}.get(self.status, "status")
            return Answer(self.status, kind, f"it answered {self.status}", self.retry_after)
        if len(body) > self.largest:
            return Answer(413, "too_large", "too large")
        if self.poison is not None and self.poison in body:
            return Answer(400, "malformed", "malformed")
        self.knows_schema |= SCHEMA in body
        if not self.knows_schema:
            return Answer(409, "schema", "need schema")
        self.frames += [part + b">" for part in body.replace(SCHEMA, b"").split(b">")[:-1]]
        return Answer(200, boot=self.boot, window_end=self.window_end)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A pusher, its analyzer and a clock; `tick` is one beat of a second."""

    def __init__(self, folder: Path, rate: float = 200.0) -> None:
        self.analyzer = Analyzer()
        self.clock = Clock()
        self.folder = folder
        self.rate = rate
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """As the agent starts, also after a kill."""
        self.spool = Spool(self.folder, 1 << 20, 2000)
        self.spool.open()
        self.pusher = Pusher(
            "sink:9480",
            self.analyzer.post,
            self.spool,
            Backoff(1.0, 8.0),
            self.rate,
            timer=self.clock,
            clock=self.clock,
            chance=lambda: 0.999,
        )

    async def tick(self, times: int = 1, wait: bool = True) -> None:
        for _ in range(times):
            self.clock.now += 1.0
            self.pusher.offer([frame(self.number)])
            self.number += 1
            if wait:
                await self.pusher.settle()
            else:
                await asyncio.sleep(0)

    def all_frames(self) -> set[bytes]:
        return {b"<%d>" % number for number in range(self.number)}


def positions(frames: Sequence[bytes], wanted: bytes) -> list[int]:
    return [position for position, frame in enumerate(frames) if frame == wanted]


async def hurry(rig: Rig) -> bytes:
    name = b"<%d!>" % rig.number
    rig.number += 1
    rig.pusher.hurry(Outgoing(bytes(8), b"", name), rig.clock.now)
    await asyncio.sleep(0)
    return name
