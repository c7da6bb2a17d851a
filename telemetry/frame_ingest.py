"""Frames from agents into the window: deduplicated, with `up` for each node, and its stale markers.

A node sends one or more streams, one for each interval; each is a target of the window. Live frames come in
order; the spool of an outage comes behind them, older, and each sample keeps its own time. A frame is live if
its sequence is the highest of the node's newest boot; only live frames say what exists: a column without a
value, or one that the schema no longer has, ends its series.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from telemetry.bits import Flags, Floats, Ints
from telemetry.ingest_settings import FrameSettings
from telemetry.seen import SeenSet
from telemetry.series_ids import NO_IDS, UNRESOLVED, SeriesIds
from telemetry.window import LimitExceeded, Target, Window
from wire.frames import (
    Frame,
    Kind,
    MalformedFrame,
    Schema,
    decode_stream,
    split_values,
    unpack_event,
    unpack_schema,
)

log = logging.getLogger("fleetowl.telemetry")

JOB = "fleetowl-agent"
METRICS = (
    Metric("fleetowl_frames_total", "counter", "Frames received, by kind.", ("kind",)),
    Metric("fleetowl_frames_duplicate_total", "counter", "Frames that had come before."),
    Metric("fleetowl_frames_refused_total", "counter", "Requests refused, by reason.", ("reason",)),
    Metric("fleetowl_frame_samples_total", "counter", "Samples that came in frames."),
    Metric("fleetowl_frame_samples_refused_total", "counter", "Samples left out, by reason.", ("reason",)),
    Metric("fleetowl_frame_nodes", "gauge", "Nodes that push, by state.", ("state",)),
)

_BOOTS = 4  # of a node whose sequences are remembered
_RETRY = 60_000  # ms between attempts to place series that the window refused


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """An event that an agent sent at once: its payload has `type`, `labels`, `value`, `at`."""

    node: str
    time: int
    event: Mapping[str, Any]


@dataclass(slots=True)
class FrameReceived:
    """The answer to a request: HTTP status, frames dealt with (duplicates too), events in order."""

    status: int = 200
    accepted: int = 0
    events: list[NodeEvent] = field(default_factory=list)
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


class _Columns:
    """A schema and the window ids of its columns."""

    def __init__(self, window: Window, schema: Schema) -> None:
        self.schema = schema
        self.series = SeriesIds(window)
        self.series.extend(len(schema.series))
        self.retry_at = 0

    def resolve(self, target: Target, present: Flags, now: int, refused: Counter[str]) -> Ints:
        """The ids, after making the series of those columns that have a value for the first time."""
        missing = np.flatnonzero(present & (self.series.ids == UNRESOLVED))
        if len(missing) and now >= self.retry_at:
            for place in missing.tolist():
                labels = self.schema.series[place]
                try:
                    self.series.resolve(place, target, labels, self.schema.types.get(labels.name, "unknown"))
                except LimitExceeded as error:
                    refused[error.reason] += 1
                    self.retry_at = now + _RETRY
        return self.series.ids


class _Stream:
    """The frames of one node and interval: what its newest frame showed."""

    def __init__(self) -> None:
        self.columns: _Columns | None = None
        self.living: Ints = NO_IDS

    def refresh(self) -> None:
        """Keep `living` right when the window renumbers."""
        if self.columns is not None:
            _, self.living = self.columns.series.refresh(self.living)


class _Node:
    """What is known of one node."""

    def __init__(self, name: str, window: Window, interval: int, now: int) -> None:
        self.name = name
        self.interval = interval  # the shortest of its streams
        self.last_seen = now
        self.last_time = 0  # of its newest live frame, by its own clock
        self.reported_at = now  # when `up` was last written
        self.down = False
        self.boot = b""
        self.boots: OrderedDict[bytes, SeenSet] = OrderedDict()
        self.streams: dict[int, _Stream] = {}
        self.schemas: OrderedDict[bytes, _Columns] = OrderedDict()
        self.up = SeriesIds(window)
        self.up.extend(1)

    def target_key(self, interval: int) -> str:
        """Name of a stream's target in the window."""
        return f"agent/{self.name}/{interval}"

    def first_time(self, frame: Frame) -> bool:
        """Whether the frame has not come before; remembers it."""
        seen = self.boots.get(frame.boot_id)
        if seen is None:
            seen = self.boots[frame.boot_id] = SeenSet()
            if len(self.boots) > _BOOTS:
                self.boots.popitem(last=False)
        return seen.add(frame.sequence)

    def is_live(self, frame: Frame, now: int) -> bool:
        """Whether it is the newest word of the node; to be asked before first_time()."""
        seen = self.boots.get(frame.boot_id)
        if seen is not None and frame.sequence <= seen.highest:
            return False
        if frame.boot_id == self.boot or not self.boot:
            return True
        # Another boot: the next one, or one from the spool? After a clock step the next may be "older".
        return frame.time > self.last_time or abs(now - frame.time) < abs(now - self.last_time)


class FrameReceiver:
    """The receiving end of POST /api/v1/frames. Overload (429) and tokens (401) are the caller's matter."""

    def __init__(self, window: Window, settings: FrameSettings | None = None) -> None:
        self.settings = settings or FrameSettings()
        self.stats = FrameStats()
        self._window = window
        self._nodes: dict[str, _Node] = {}
        self._node_of: dict[bytes, str] = {}  # schema hash -> node

    def receive(self, body: bytes, now: int) -> FrameReceived:
        """Take in the frames of a request that came at `now` (ms).

        Frames before one that cannot be taken count; the agent sends the request again, and what came before
        is recognised.
        """
        answer = FrameReceived()
        try:
            frames = decode_stream(body, self.settings.limits)
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
            silence = now - node.last_seen
            if silence > self.settings.forget_after:
                self.forget(node.name, now)
                continue
            if silence <= 2 * node.interval + node.interval // 2:
                continue
            if not node.down:
                node.down = True
                self._end_series(node, now)
                sentences.append(f"node {node.name} has sent nothing for {silence / 1000:.1f} s: up is 0")
                log.warning(sentences[-1])
            elif now - node.reported_at < node.interval:
                continue
            self._write_up(node, max(now, node.last_time + 1), 0.0)
            node.reported_at = now
        return sentences

    def forget(self, name: str, now: int) -> bool:
        """The node is gone for good: its series end. False if it is not known."""
        node = self._nodes.pop(name, None)
        if node is None:
            return False
        for schema_hash in node.schemas:
            self._node_of.pop(schema_hash, None)
        for interval in {*node.streams, node.interval}:
            target = self._window.target(node.target_key(interval), interval)
            self._window.mark_stale(target, max(now, node.last_time + 1))
        return True

    def inventory(self) -> list[NodeRecord]:
        """The nodes known now, to be kept over a restart."""
        return [NodeRecord(node.name, node.interval, node.last_seen) for node in self._nodes.values()]

    def restore(self, records: Sequence[NodeRecord], now: int) -> None:
        """Expect these nodes: one that does not come within two intervals of `now` is down."""
        for record in records:
            if record.node not in self._nodes:
                self._nodes[record.node] = _Node(record.node, self._window, record.interval, now)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        stats = self.stats
        for kind in Kind:
            yield Sample("fleetowl_frames_total", {"kind": kind.name.lower()}, stats.frames[kind.name])
        yield Sample("fleetowl_frames_duplicate_total", {}, stats.duplicates)
        for reason, count in sorted(stats.requests_refused.items()):
            yield Sample("fleetowl_frames_refused_total", {"reason": reason}, count)
        yield Sample("fleetowl_frame_samples_total", {}, stats.samples)
        for reason, count in sorted(stats.refused.items()):
            yield Sample("fleetowl_frame_samples_refused_total", {"reason": reason}, count)
        down = sum(node.down for node in self._nodes.values())
        yield Sample("fleetowl_frame_nodes", {"state": "down"}, down)
        yield Sample("fleetowl_frame_nodes", {"state": "up"}, len(self._nodes) - down)

    # One frame.

    def _take(self, frame: Frame, now: int, answer: FrameReceived) -> None:
        if not 0 < frame.interval <= 86_400_000:
            raise MalformedFrame(f"an interval of {frame.interval} ms")
        self.stats.frames[frame.kind.name] += 1
        if frame.kind is Kind.SCHEMA:
            self._learn(frame, now, answer)
            return
        event = unpack_event(frame.payload) if frame.kind is Kind.EVENT else None
        node = self._node(frame, event, now)
        columns = node.schemas.get(frame.schema_hash) if node else None
        if node is None or (frame.kind is Kind.VALUES and columns is None):
            self._refuse(answer, 409, "need_schema", f"schema {frame.schema_hash.hex()} is not known here")
            return
        live = node.is_live(frame, now)
        if not node.first_time(frame):
            self.stats.duplicates += 1
            return
        node.last_seen = now
        if live:
            node.boot, node.last_time = frame.boot_id, frame.time
        if columns is not None and frame.kind is Kind.VALUES:
            self._values(node, columns, frame, live, now)
        elif event is not None:
            answer.events.append(NodeEvent(node.name, frame.time, event))
        elif live:
            log.info("node %s says goodbye", node.name)
            self.forget(node.name, frame.time)

    def _node(self, frame: Frame, event: Mapping[str, Any] | None, now: int) -> _Node | None:
        """The sender. An event names its node itself, so that it need not wait for a schema."""
        name = self._node_of.get(frame.schema_hash, "")
        labels = (event or {}).get("labels")
        if not name and isinstance(labels, dict):
            name = str(labels.get("node", ""))
            if name and name not in self._nodes and len(self._nodes) < self.settings.nodes:
                self._nodes[name] = _Node(name, self._window, frame.interval, now)
        return self._nodes.get(name)

    def _learn(self, frame: Frame, now: int, answer: FrameReceived) -> None:
        schema = unpack_schema(frame.payload, self.settings.limits)
        node = self._nodes.get(schema.node)
        if node is None:
            if len(self._nodes) >= self.settings.nodes:
                limit = self.settings.nodes
                self._refuse(
                    answer, 400, "node_limit", f"{limit} nodes are known already, {schema.node} is not"
                )
                return
            node = self._nodes[schema.node] = _Node(schema.node, self._window, frame.interval, now)
        if frame.schema_hash not in node.schemas:
            node.schemas[frame.schema_hash] = _Columns(self._window, schema)
            self._node_of[frame.schema_hash] = schema.node
        node.schemas.move_to_end(frame.schema_hash)
        if len(node.schemas) > self.settings.schemas:
            forgotten, _ = node.schemas.popitem(last=False)
            self._node_of.pop(forgotten, None)

    def _values(self, node: _Node, columns: _Columns, frame: Frame, live: bool, now: int) -> None:
        node.schemas.move_to_end(frame.schema_hash)
        target = self._window.target(node.target_key(frame.interval), frame.interval)
        stream = node.streams.setdefault(frame.interval, _Stream())
        stream.refresh()
        if columns is not stream.columns:
            columns.series.refresh()
        present, values = _split(frame, len(columns.schema.series))
        ids = columns.resolve(target, present, now, self.stats.refused)
        shown = present & (ids >= 0)
        appended = self._window.append(target, frame.time, ids[shown], values[shown])
        self.stats.samples += int(present.sum())
        self.stats.refused.update(appended.refused)
        if not live:
            return
        ended = np.setdiff1d(stream.living, ids[shown])
        self._window.mark_stale(target, frame.time, ended)
        stream.columns, stream.living = columns, ids[shown]
        node.interval = min(node.streams)
        if frame.interval == node.interval:
            self._write_up(node, frame.time, 1.0)
            node.reported_at, node.down = now, False

    def _end_series(self, node: _Node, now: int) -> None:
        for interval, stream in node.streams.items():
            stream.refresh()
            target = self._window.target(node.target_key(interval), interval)
            self._window.mark_stale(target, max(now, node.last_time + 1), stream.living)
            stream.living = NO_IDS

    def _write_up(self, node: _Node, time: int, value: float) -> None:
        node.up.refresh()
        target = self._window.target(node.target_key(node.interval), node.interval)
        if node.up.ids[0] == UNRESOLVED:
            labels = Labels({NAME: "up", "job": JOB, "instance": node.name, "node": node.name})
            try:
                node.up.resolve(0, target, labels, "gauge")
            except LimitExceeded as error:
                self.stats.refused[error.reason] += 1
                return
        self._window.append(target, time, node.up.ids, np.array([value]))

    def _refuse(self, answer: FrameReceived, status: int, kind: str, reason: str) -> None:
        self.stats.requests_refused[kind] += 1
        answer.status, answer.reason = status, reason


def _split(frame: Frame, count: int) -> tuple[Flags, Floats]:
    """Which columns have a value, and the values. Raises MalformedFrame."""
    bitmap, floats = split_values(frame.payload, count)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=count, bitorder="little")
    return bits.astype(np.bool_), np.frombuffer(floats, "<f8").astype(np.float64, copy=False)
