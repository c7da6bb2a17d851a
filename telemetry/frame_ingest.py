"""Frames from agents into the window: deduplicated, with `up` for each node, and its stale markers.

A node sends one or more streams, one for each interval; each is a target of the window. Live frames come in
order; the spool of an outage comes behind them, older, and each sample keeps its own time. A frame is live if
its sequence is the highest of the node's newest boot; only live frames say what exists: a column without a
value, or one that the schema no longer has, ends its series.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.metric import Metric, Sample
from model.moment import DAY, SECOND
from telemetry.agents import Columns, Node, Stream
from telemetry.bits import Flags, Floats, Ints
from telemetry.event_log import METRICS as EVENT_METRICS
from telemetry.event_log import EventLog, ReceivedEvent
from telemetry.ingest_settings import FrameSettings
from telemetry.presence import JOB as JOB
from telemetry.presence import METRICS as PRESENCE_METRICS
from telemetry.series_ids import NO_IDS, adopted
from telemetry.window import Target, Window
from wire.event import EventRecord, unpack_event
from wire.frames import LATEST, Frame, Kind, MalformedFrame, decode_stream, split_values, unpack_schema

log = logging.getLogger("fleetowl.telemetry")

RESTART_GRACE = 15 * SECOND
"""What a node has more after our start: an agent that found nobody tries again within 10 s."""
METRICS = (
    Metric("fleetowl_frames_total", "counter", "Frames received, by kind.", ("kind",)),
    Metric("fleetowl_frames_duplicate_total", "counter", "Frames that had come before."),
    Metric(
        "fleetowl_frame_requests_refused_total",
        "counter",
        "Requests with frames refused, by reason.",
        ("reason",),
    ),
    Metric("fleetowl_frame_samples_total", "counter", "Samples that came in frames."),
    Metric("fleetowl_frame_samples_refused_total", "counter", "Samples left out, by reason.", ("reason",)),
    Metric("fleetowl_frame_nodes", "gauge", "Nodes that push, by state.", ("state",)),
    *EVENT_METRICS,
    *PRESENCE_METRICS,
)
_MISSING_FRAMES = 3
"""So many frames may lack a series that came with an event before it ends."""


@dataclass(slots=True)
class FrameReceived:
    """The answer to a request: HTTP status, frames dealt with (duplicates too), events in order."""

    status: int = 200
    accepted: int = 0
    events: list[ReceivedEvent] = field(default_factory=list)
    reason: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        if self.status == 409:
            return {"need_schema": True, "accepted": self.accepted, "error": self.reason}
        if self.status != 200:
            return {"error": self.reason, "accepted": self.accepted}
        return {"accepted": self.accepted}


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What is kept of a node over a restart, so that one which never comes back is reported as down."""

    node: str
    interval: int
    last_seen: int


@dataclass(slots=True)
class FrameStats:
    """Counts since the start."""

    frames: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    requests_refused: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class FrameReceiver:
    """The receiving end of POST /api/v1/frames. Overload (429) and tokens (401) are the caller's matter."""

    def __init__(self, window: Window, settings: FrameSettings | None = None) -> None:
        self.settings = settings or FrameSettings()
        self.stats = FrameStats()
        self.events = EventLog()
        self._limits = self.settings.limits
        self._window = window
        self._nodes: dict[str, Node] = {}
        self._node_of: dict[bytes, str] = {}  # schema hash -> node

    def receive(self, body: bytes, now: int) -> FrameReceived:
        """Take in the frames of a request that came at `now` (ms).

        Frames before one that cannot be taken count; the agent sends the request again, and what came before
        is recognised.
        """
        answer = FrameReceived()
        try:
            frames = decode_stream(body, self._limits)
            for frame in frames:
                self._take(frame, now, answer)
                if answer.status != 200:
                    break
                answer.accepted += 1
        except MalformedFrame as error:
            self._refuse(answer, 400, "malformed", str(error))
        return answer

    def expire(self, now: int) -> list[str]:
        """Write `up` 0 for the nodes of which two frames are missing; a sentence for each newly down."""
        sentences = []
        for node in list(self._nodes.values()):
            self._end_early(node, now, now - _MISSING_FRAMES * max(node.streams, default=node.interval))
            silence = now - node.last_seen
            if silence > self.settings.forget_after:
                self.forget(node.name, now)
                continue
            if silence <= patience(node.interval):
                self._drop_silent_streams(node, now)
                continue
            if not node.down:
                node.down = True
                self._end_early(node, now, now)
                for interval in node.streams:
                    self._end_stream(node, interval, max(now, node.last_time + 1))
                sentences.append(f"node {node.name} has sent no readings for {silence / 1000:.1f} s: up is 0")
                log.warning(sentences[-1])
            elif now - node.reported_at < node.interval:
                continue
            node.presence.miss(now, node.interval, self.stats.refused)
            node.reported_at = now
        return sentences

    def forget(self, name: str, now: int) -> bool:
        """The node is gone for good: its series end. False if it is not known."""
        node = self._nodes.pop(name, None)
        if node is None:
            return False
        for schema_hash in node.schemas:
            self._node_of.pop(schema_hash, None)
        self._end_early(node, now, LATEST)
        for interval in {*node.streams, node.interval}:
            target = self._window.target(node.target_key(interval), interval)
            self._window.mark_stale(target, max(now, node.last_time + 1))
        node.presence.end(now, node.interval)
        return True

    def inventory(self) -> list[NodeRecord]:
        """The nodes known now, to be kept over a restart."""
        return [NodeRecord(node.name, node.interval, node.last_seen) for node in self._nodes.values()]

    def restore(self, records: Sequence[NodeRecord], now: int) -> None:
        """Expect these nodes: one that does not come back after `now` (ms) and RESTART_GRACE is down."""
        for record in records:
            if record.node not in self._nodes:
                back_by = now + RESTART_GRACE
                self._nodes[record.node] = Node(record.node, self._window, record.interval, back_by)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        stats = self.stats
        for kind in Kind:
            yield Sample("fleetowl_frames_total", {"kind": kind.name.lower()}, stats.frames[kind.name])
        yield Sample("fleetowl_frames_duplicate_total", {}, stats.duplicates)
        for reason, count in sorted(stats.requests_refused.items()):
            yield Sample("fleetowl_frame_requests_refused_total", {"reason": reason}, count)
        yield Sample("fleetowl_frame_samples_total", {}, stats.samples)
        for reason, count in sorted(stats.refused.items()):
            yield Sample("fleetowl_frame_samples_refused_total", {"reason": reason}, count)
        down = sum(node.down for node in self._nodes.values())
        yield Sample("fleetowl_frame_nodes", {"state": "down"}, down)
        yield Sample("fleetowl_frame_nodes", {"state": "up"}, len(self._nodes) - down)
        yield from self.events.samples()

    # One frame.

    def _take(self, frame: Frame, now: int, answer: FrameReceived) -> None:
        _check_times(frame)
        self.stats.frames[frame.kind.name] += 1
        if frame.kind is Kind.SCHEMA:
            self._learn(frame, now, answer)
            return
        event = unpack_event(frame.payload, self._limits) if frame.kind is Kind.EVENT else None
        name = self._node_of.get(frame.schema_hash) or (event.node if event is not None else "")
        if event is not None and not self._introduce(name, frame.interval, now, answer):
            return  # an event names its node itself, so that it need not wait for a schema
        node = self._nodes.get(name)
        columns = node.schemas.get(frame.schema_hash) if node else None
        if node is None or (frame.kind is Kind.VALUES and columns is None):
            self._refuse(answer, 409, "need_schema", f"schema {frame.schema_hash.hex()} is not known here")
            return
        live = node.is_live(frame, now)
        if not node.first_time(frame):
            self.stats.duplicates += 1
            return
        if frame.kind is Kind.VALUES:  # an event says nothing of the rest of the node
            node.last_seen = now
        if live:
            if frame.boot_id != node.boot:
                self._next_boot(node, frame)
            node.last_time = frame.time
        if columns is not None and frame.kind is Kind.VALUES:
            self._values(node, columns, frame, live, now)
        elif event is not None:
            self._event(node, event, frame, now, answer)
        elif live:
            log.info("node %s says goodbye", node.name)
            self.forget(node.name, now)

    def _event(self, node: Node, event: EventRecord, frame: Frame, now: int, answer: FrameReceived) -> None:
        received = ReceivedEvent(node.name, now, event)
        answer.events.append(received)
        self.events.add(received)
        if event.ahead:
            target = self._window.target(node.target_key(frame.interval), frame.interval)
            self.stats.samples += len(event.ahead)
            node.early.store(target, event.ahead, node.living, now, self.stats.refused)

    def _end_early(self, node: Node, now: int, before: int) -> None:
        if node.early:
            target = self._window.target(node.target_key(node.interval), node.interval)
            node.early.end(target, max(now, node.last_time + 1), before)

    def _introduce(self, name: str, interval: int, now: int, answer: FrameReceived) -> bool:
        """Know the node that a schema or an event names; False if there are too many."""
        if not name or name in self._nodes:
            return True
        limit = self.settings.nodes
        if len(self._nodes) >= limit:
            self._refuse(answer, 400, "node_limit", f"{limit} nodes are known already, {name} is not")
            return False
        self._nodes[name] = Node(name, self._window, interval, now)
        return True

    def _learn(self, frame: Frame, now: int, answer: FrameReceived) -> None:
        schema = unpack_schema(frame.payload, self._limits)
        if not self._introduce(schema.node, frame.interval, now, answer):
            return
        node = self._nodes[schema.node]
        if frame.schema_hash not in node.schemas:
            node.schemas[frame.schema_hash] = Columns(self._window, schema)
            self._node_of[frame.schema_hash] = schema.node
        node.schemas.move_to_end(frame.schema_hash)
        if len(node.schemas) > self.settings.schemas:
            forgotten, _ = node.schemas.popitem(last=False)
            self._node_of.pop(forgotten, None)

    def _values(self, node: Node, columns: Columns, frame: Frame, live: bool, now: int) -> None:
        node.schemas.move_to_end(frame.schema_hash)
        target = self._window.target(node.target_key(frame.interval), frame.interval)
        stream = node.streams.setdefault(frame.interval, Stream())
        stream.refresh()
        columns.series.refresh()
        # Before its columns: a full window must not hide that it is up.
        node.presence.claim(node.interval, self.stats.refused)
        present, values = _split(frame, len(columns.schema.series))
        ids = columns.resolve(target, present, now, self.stats.refused)
        shown = present & (ids >= 0)
        appended = self._window.append(target, frame.time, ids[shown], values[shown])
        self.stats.samples += int(present.sum())
        self.stats.refused.update(appended.refused)
        if live:
            self._show(node, target, stream, frame.time, columns, ids[shown])
            stream.last_seen = now
            if frame.interval == node.interval:
                node.presence.report(now, node.interval, frame.time - now, self.stats.refused)
                node.reported_at, node.down = now, False

    def _show(
        self, node: Node, target: Target, stream: Stream, time: int, columns: Columns, ids: Ints
    ) -> None:
        """End the series that the frame before had and this one has not."""
        node.interval = min(node.streams)
        before = stream.living
        if stream.columns is None:
            up = node.presence.claim(node.interval, self.stats.refused)
            spared = np.concatenate([up, node.early.ids])
            before = np.setdiff1d(adopted(self._window, target, apart=True), spared)
        if not np.array_equal(before, ids):
            self._window.mark_stale(target, time, np.setdiff1d(before, ids))
        stream.columns, stream.living = columns, ids
        node.early.confirm(ids)

    def _next_boot(self, node: Node, frame: Frame) -> None:
        """The agent began anew, perhaps with other intervals: streams that it no longer has end."""
        for interval in [interval for interval in node.streams if interval != frame.interval]:
            self._end_stream(node, interval, frame.time)
            del node.streams[interval]
        node.boot = frame.boot_id

    def _end_stream(self, node: Node, interval: int, time: int) -> None:
        stream = node.streams[interval]
        stream.refresh()
        target = self._window.target(node.target_key(interval), interval)
        self._window.mark_stale(target, time, stream.living)
        stream.living = NO_IDS

    def _drop_silent_streams(self, node: Node, now: int) -> None:
        """Of an agent that goes on with other intervals only."""
        for interval, stream in list(node.streams.items()):
            if len(node.streams) > 1 and now - stream.last_seen > 10 * max(interval, node.interval):
                self._end_stream(node, interval, max(now, node.last_time + 1))
                del node.streams[interval]
                node.interval = min(node.streams)

    def _refuse(self, answer: FrameReceived, status: int, kind: str, reason: str) -> None:
        self.stats.requests_refused[kind] += 1
        answer.status, answer.reason = status, reason


def _check_times(frame: Frame) -> None:
    """Raises MalformedFrame."""
    if not 0 < frame.interval <= DAY:
        raise MalformedFrame(f"an interval of {frame.interval} ms")
    if not 0 < frame.time < LATEST:
        raise MalformedFrame(f"a time of {frame.time} ms")


def _split(frame: Frame, count: int) -> tuple[Flags, Floats]:
    """Which columns have a value, and the values. Raises MalformedFrame."""
    bitmap, floats = split_values(frame.payload, count)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=count, bitorder="little")
    return bits.astype(np.bool_), np.frombuffer(floats, "<f8").astype(np.float64, copy=False)


def patience(interval: int) -> int:
    """How long (ms) a node may be silent: two missing frames, and half an interval of delay."""
    return 2 * interval + interval // 2
