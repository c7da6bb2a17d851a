"""Delivery of frames to one analyzer: live ones first, what could not be delivered from the spool after them.

A live frame leaves at its tick. If it fails, it and all that follow go to the spool at once, so a kill
during an outage loses nothing, and after a pause that grows the next live frame tries again. Once one
is accepted, the spool is sent along behind the live frames, oldest first and no faster than its rate.
A frame that is not answered when the next one is made goes to the spool too; should it have arrived
after all, the analyzer knows it by its boot and sequence.

An analyzer that was killed has lost what came since its last snapshot. Its answers name its boot and the end
of the window that it began with; when the boot changes, the frames after that go to the spool once more.

An event has a lane of its own, so that it waits for no frame that is under way; apart from that it is treated
as frames are.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.reading import Outgoing
from agent.recent import Recent
from agent.spool import Batch, Spool
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

_ANALYZER = ("analyzer",)
METRICS = (
    Metric(
        "fleetowl_agent_frames_sent_total",
        "counter",
        "Frames that the analyzer accepted, by origin: live or spool.",
        ("analyzer", "origin"),
    ),
    Metric("fleetowl_agent_frames_spooled_total", "counter", "Frames written to the spool.", _ANALYZER),
    Metric(
        "fleetowl_agent_frames_resent_total",
        "counter",
        "Accepted frames that are sent again, for the analyzer has started anew without them.",
        _ANALYZER,
    ),
    Metric(
        "fleetowl_agent_frames_dropped_total",
        "counter",
        "Frames given up: spool_full (the oldest go), unwritable, corrupt, rejected or too_large.",
        ("analyzer", "reason"),
    ),
    Metric(
        "fleetowl_agent_push_failures_total",
        "counter",
        "Requests that failed: connection, timeout, token, unauthorized, overload, schema, status, internal.",
        ("analyzer", "reason"),
    ),
    Metric(
        "fleetowl_agent_push_last_success_timestamp_seconds",
        "gauge",
        "When the analyzer last accepted frames; 0 if it never has.",
        _ANALYZER,
    ),
    Metric(
        "fleetowl_agent_event_delay_seconds",
        "gauge",
        "From the last event, by its own time, until the analyzer accepted it; only if it went at once.",
        _ANALYZER,
    ),
    Metric("fleetowl_agent_spool_bytes", "gauge", "Bytes that the spool takes on disk.", _ANALYZER),
    Metric("fleetowl_agent_spool_frames", "gauge", "Frames that wait in the spool.", _ANALYZER),
    Metric("fleetowl_agent_spool_writable", "gauge", "0 if the last write to the spool failed.", _ANALYZER),
)

_BATCH_FRAMES = 100
_BATCH_BYTES = 1 << 20
_MOST_SECONDS = 10.0  # of the backfill rate that may be saved up between ticks
_LONGEST_RETRY_AFTER = 300.0
_PATIENCE = 0.5  # seconds; frames of one tick come within it, an answer mostly does
_NEED_SCHEMA = 409
_TOO_LARGE = 413
_MALFORMED = 400
_OVERLOAD = 429
_INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: the HTTP status (0: none came), and the reason in a word and in full."""

    status: int
    kind: str = ""
    why: str = ""
    retry_after: float | None = None
    boot: str = ""
    """Names the process that answered, empty if it does not say."""
    window_end: int = 0
    """Up to when (ms) that process had a window when it began, 0 for none at all."""


class Post(Protocol):
    """Sends a body to the analyzer. Never raises but CancelledError."""

    def __call__(self, body: bytes) -> Awaitable[Answer]:
        """What the analyzer answered."""


@dataclass(slots=True)
class PushStats:
    """Counts since the agent began."""

    sent_live: int = 0
    sent_spooled: int = 0
    resent: int = 0
    event_delay: float | None = None
    rejected: int = 0
    too_large: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_success: float = 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failures, in seconds; the actual pause is half of it to all of it, at random."""

    shortest: float = 1.0
    longest: float = 10.0

    def pause(self, failures: int, chance: float) -> float:
        """After so many failures in a row; `chance` in [0, 1)."""
        full = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 30))
        return full * (0.5 + chance / 2)


@dataclass(slots=True)
class _Live:
    """Frames that leave together: since when they wait, and how many of them are in the spool already."""

    number: int
    frames: list[Outgoing]
    since: float
    kept: int = 0
    happened: float | None = None
    """When the first event among them happened, in seconds since the epoch."""


@dataclass(slots=True)
class _Lane:
    """One request at a time, and what waits for it."""

    waiting: _Live | None = None
    in_flight: _Live | None = None
    task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether its task has ended."""
        return self.task is None or self.task.done()


class _Failed(Exception):
    """The analyzer did not take the frames; they are to be tried again later."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.why)
        self.answer = answer


class Pusher:
    """Delivers the frames of this agent to one analyzer. `timer` and `clock` give seconds."""

    def __init__(
        self,
        name: str,
        post: Post,
        spool: Spool,
        backoff: Backoff = Backoff(),
        backfill_rate: float = 200.0,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.stats = PushStats()
        self.spool = spool
        self._post = post
        self._backoff = backoff
        self._rate = backfill_rate
        self._timer, self._clock, self._chance = timer, clock, chance
        self._announced: set[bytes] = set()
        self._failures = 0
        self._reason = ""
        self._retry_at = float("-inf")
        self._allowance = 0.0
        self._allowed_at = timer()
        self._numbers = itertools.count()
        self._boots: set[str] = set()  # several answer in turn behind a load balancer
        self._recent = Recent()
        self._beat, self._urgent = _Lane(), _Lane()

    @property
    def away(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def offer(self, frames: Sequence[Outgoing]) -> None:
        """The frames of a tick. Returns at once; they are on their way or on disk."""
        self._send_off(self._beat, _Live(next(self._numbers), list(frames), self._timer()))

    def hurry(self, event: Outgoing, happened: float) -> None:
        """An event that happened then (seconds since the epoch): as a tick's frames, but beside them."""
        live = _Live(next(self._numbers), [event], self._timer(), happened=happened)
        self._send_off(self._urgent, live)

    def _send_off(self, lane: _Lane, live: _Live) -> None:
        now = live.since
        earlier = self._pending()
        if self.away or any(now - each.since >= _PATIENCE for each in earlier):
            # Memory holds one tick; what has not been answered by the next one goes to the disk.
            for each in (*earlier, live):
                self._keep(each)
            lane.waiting = None if lane.in_flight is not None or self._pausing(now) else live
        elif lane.waiting is not None:
            lane.waiting.frames += live.frames
        else:
            lane.waiting = live
        if lane.waiting is not None and lane.idle:
            lane.task = asyncio.create_task(self._deliver(lane))

    def _pending(self) -> list[_Live]:
        """What has not been answered, in the order in which it was offered."""
        lanes = (self._beat, self._urgent)
        there = [each for lane in lanes for each in (lane.in_flight, lane.waiting) if each is not None]
        return sorted(there, key=lambda each: each.number)

    def _pausing(self, now: float) -> bool:
        return self.away and now < self._retry_at

    async def settle(self) -> None:
        """Wait until what is on its way has been answered."""
        for lane in (self._urgent, self._beat):
            if lane.task is not None:
                await lane.task

    async def close(self, farewell: Outgoing | None, grace: float = 2.0) -> None:
        """Finish: what is under way gets `grace` seconds, the rest goes to the spool; then say goodbye."""
        try:
            async with asyncio.timeout(grace):
                await self.settle()
                if farewell is not None and not self.away:
                    await self._send([farewell])
        except (TimeoutError, _Failed):
            log.info("the analyzer %s did not hear the agent's goodbye", self.name)
        # A goodbye that fails for a fault of ours must not keep the rest from the disk.
        except Exception:
            log.exception("the agent could not say goodbye to the analyzer %s", self.name)
        finally:
            for each in self._pending():
                self._keep(each)
            self.spool.close()

    async def _deliver(self, lane: _Lane) -> None:
        try:
            while True:
                if lane.waiting is not None:
                    await self._send_live(lane)
                elif lane is self._urgent or not await self._send_spooled():
                    return
        except _Failed as failure:
            self._note_failure(failure.answer)
        # The supervisor boundary: whatever goes wrong, the next frame tries again after a pause.
        except Exception as error:
            if self._reason != _INTERNAL:
                log.exception("the delivery to the analyzer %s failed", self.name)
            self._note_failure(Answer(0, _INTERNAL, f"{type(error).__name__}: {error}"))

    async def _send_live(self, lane: _Lane) -> None:
        live, lane.waiting = lane.waiting, None
        assert live is not None
        lane.in_flight = live
        try:
            await self._send(live.frames)
        except BaseException:
            # Also a fault of ours, or the end. What was offered before it comes before it in the spool too.
            for each in self._pending():
                if each.number <= live.number:
                    self._keep(each)
            raise
        finally:
            lane.in_flight = None
        self.stats.sent_live += len(live.frames)
        self._recent.add(live.frames, self._timer())
        if live.happened is not None:
            self.stats.event_delay = self._clock() - live.happened
        self._note_success()

    async def _send_spooled(self) -> bool:
        """One batch from the spool; False if there is none or the rate does not allow it yet."""
        now = self._timer()
        most = self._rate * _MOST_SECONDS
        self._allowance = min(most, self._allowance + (now - self._allowed_at) * self._rate)
        self._allowed_at = now
        if self.away or self._allowance < 1:
            return False
        batch = self.spool.batch(min(_BATCH_FRAMES, int(self._allowance)), _BATCH_BYTES)
        if batch is None:
            return False
        self._allowance -= len(batch.records)
        await self._send([_outgoing(batch, index) for index in range(len(batch.records))])
        self.spool.acknowledge(batch)
        self.stats.sent_spooled += len(batch.records)
        self._note_success()
        return True

    async def _send(self, frames: Sequence[Outgoing]) -> None:
        """Deliver, or drop what the analyzer will never take. Raises _Failed if it should be tried again."""
        answer = await self._post(self._body(frames))
        if answer.status == _NEED_SCHEMA:
            self._announced.clear()
            answer = await self._post(self._body(frames))
        if answer.status == 200:
            self._announced |= {frame.key for frame in frames}
            self._meet(answer)
        elif answer.status not in (_MALFORMED, _TOO_LARGE):
            raise _Failed(answer)
        elif len(frames) > 1:
            # One of them is at fault, or all together are too many: find out by halves.
            middle = len(frames) // 2
            await self._send(frames[:middle])
            await self._send(frames[middle:])
        else:
            self._drop(answer)

    def _body(self, frames: Sequence[Outgoing]) -> bytes:
        schemas = {frame.key: frame.schema for frame in frames if frame.key not in self._announced}
        return b"".join([*schemas.values(), *(frame.data for frame in frames)])

    def _meet(self, answer: Answer) -> None:
        """Give an analyzer that has started anew what it lacks; not if that would cost undelivered frames."""
        if not answer.boot or answer.boot in self._boots:
            return
        known, self._boots = bool(self._boots), {*self._boots, answer.boot}
        lost = self._recent.since(answer.window_end) if known else []
        if not lost:
            return
        if self.spool.trouble or self.spool.size + self._recent.bytes > self.spool.max_bytes // 2:
            log.warning(
                "the analyzer %s has started anew; the spool has no room for the frames that it lost",
                self.name,
            )
            return
        log.info("the analyzer %s has started anew: it gets %d frames again", self.name, len(lost))
        for frame in lost:
            self.stats.resent += self.spool.append(frame.key, frame.schema, frame.data)

    def _drop(self, answer: Answer) -> None:
        if answer.status == _TOO_LARGE:
            self.stats.too_large += 1
        else:
            self.stats.rejected += 1
        log.warning("the analyzer %s rejected a frame (%s); it is dropped", self.name, answer.why)

    def _keep(self, live: _Live) -> None:
        """On disk, unless they are there."""
        for frame in live.frames[live.kept :]:
            self.spool.append(frame.key, frame.schema, frame.data)
        live.kept = len(live.frames)

    def _note_success(self) -> None:
        if self.away:
            log.info("the analyzer %s takes frames again; %d are spooled", self.name, self.spool.frames)
        self._failures, self._reason = 0, ""
        self.stats.last_success = self._clock()

    def _note_failure(self, answer: Answer) -> None:
        self._failures += 1
        self._announced.clear()  # it may come back as another process
        self.stats.failures[answer.kind] = self.stats.failures.get(answer.kind, 0) + 1
        pause = self._backoff.pause(self._failures, self._chance())
        if answer.status == _OVERLOAD and answer.retry_after is not None:
            pause = max(pause, min(answer.retry_after, _LONGEST_RETRY_AFTER))
        self._retry_at = self._timer() + pause
        if answer.kind != self._reason:
            log.warning("the analyzer %s does not take frames: %s; they are spooled", self.name, answer.why)
        self._reason = answer.kind

    def samples(self) -> list[Sample]:
        """This pusher's own metrics."""
        stats, kept = self.stats, self.spool.stats
        return [
            self._sample("frames_sent_total", stats.sent_live, origin="live"),
            self._sample("frames_sent_total", stats.sent_spooled, origin="spool"),
            self._sample("frames_spooled_total", kept.spooled),
            self._sample("frames_resent_total", stats.resent),
            self._sample("frames_dropped_total", kept.dropped_full, reason="spool_full"),
            self._sample("frames_dropped_total", kept.dropped_unwritable, reason="unwritable"),
            self._sample("frames_dropped_total", kept.corrupt, reason="corrupt"),
            self._sample("frames_dropped_total", stats.rejected, reason="rejected"),
            self._sample("frames_dropped_total", stats.too_large, reason="too_large"),
            *(
                self._sample("push_failures_total", count, reason=kind)
                for kind, count in stats.failures.items()
            ),
            self._sample("push_last_success_timestamp_seconds", stats.last_success),
            *([] if stats.event_delay is None else [self._sample("event_delay_seconds", stats.event_delay)]),
            self._sample("spool_bytes", self.spool.size),
            self._sample("spool_frames", self.spool.frames),
            self._sample("spool_writable", not self.spool.trouble),
        ]

    def _sample(self, name: str, value: float, **labels: str) -> Sample:
        return Sample(f"fleetowl_agent_{name}", Labels({"analyzer": self.name, **labels}), float(value))


def _outgoing(batch: Batch, index: int) -> Outgoing:
    record = batch.records[index]
    return Outgoing(record.key, batch.schemas.get(record.key, b""), record.data)
