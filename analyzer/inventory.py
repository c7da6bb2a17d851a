"""What the analyzer knows of its targets over a restart: which push targets there are, and what each is.

A target's kind is learned from what it ever exposed, and kept: a dead engine exposes nothing, yet the
rule that reports it must know that an engine died and not just any target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, select

from model.matcher import Matcher, Op
from model.metric import Metric, Sample
from store.columns import Moment, upsert
from store.database import Schema
from telemetry.frame_ingest import FrameReceiver, NodeRecord
from telemetry.window import Window

METRICS = (
    Metric(
        "fleetowl_target_kind",
        "gauge",
        "1 for each target that ever exposed metrics of this kind (engine, gpu or node).",
        ("job", "instance", "kind"),
    ),
)

KIND_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "engine": ("vllm:",),
    "gpu": ("DCGM_",),
    "node": ("node_",),
}

_METADATA = MetaData()
_KINDS = Table(
    "analyzer_target_kinds",
    _METADATA,
    Column("job", String(512), primary_key=True),
    Column("instance", String(512), primary_key=True),
    Column("kind", String(16), primary_key=True),
)
_PUSHED = Table(
    "analyzer_push_targets",
    _METADATA,
    Column("node", String(255), primary_key=True),
    Column("interval", Moment, nullable=False),
)
SCHEMA = Schema("analyzer", 1, _METADATA)


class Inventory:
    """Target kinds and push targets, kept in the store (store.durable.Durable)."""

    def __init__(self, window: Window, frames: FrameReceiver) -> None:
        self._window = window
        self._frames = frames
        self._kinds: set[tuple[str, str, str]] = set()
        self._unsaved: set[tuple[str, str, str]] = set()
        self._pushed: dict[str, int] = {}
        self._generation = -1

    @property
    def dirty(self) -> bool:
        """Whether a target appeared since the last committed save."""
        return bool(self._unsaved) or self._nodes() != self._pushed

    def _nodes(self) -> dict[str, int]:
        """Push targets and their intervals (ms)."""
        return {record.node: record.interval for record in self._frames.inventory()}

    def learn(self) -> None:
        """Look at the series that are new in the window."""
        if self._window.generation == self._generation:
            return
        self._generation = self._window.generation
        for kind, prefixes in KIND_PREFIXES.items():
            for name in self._window.metric_names():
                if name.startswith(prefixes):
                    self._learn(kind, name)

    def _learn(self, kind: str, metric: str) -> None:
        for selection in self._window.select([Matcher("__name__", Op.EQUAL, metric)]):
            for labels in selection.labels:
                found = (labels.value("job"), labels.value("instance"), kind)
                if found[1] and found not in self._kinds:
                    self._kinds.add(found)
                    self._unsaved.add(found)

    def samples(self) -> Iterator[Sample]:
        """fleetowl_target_kind of every target known."""
        for job, instance, kind in self._kinds:
            yield Sample("fleetowl_target_kind", {"job": job, "instance": instance, "kind": kind}, 1)

    def load(self, tx: Connection, now: int) -> None:
        """Take over what an earlier process knew."""
        self._kinds = {(row.job, row.instance, row.kind) for row in tx.execute(select(_KINDS))}
        self._pushed = {row.node: row.interval for row in tx.execute(select(_PUSHED))}
        records = [NodeRecord(node, interval, now) for node, interval in self._pushed.items()]
        self._frames.restore(records, now)

    def save(self, tx: Connection) -> None:
        """Write what is new."""
        rows = [dict(zip(("job", "instance", "kind"), found, strict=True)) for found in self._unsaved]
        upsert(tx, _KINDS, rows)
        tx.execute(delete(_PUSHED))
        upsert(tx, _PUSHED, [{"node": node, "interval": ms} for node, ms in self._nodes().items()])

    def saved(self) -> None:
        """The commit succeeded."""
        self._unsaved.clear()
        self._pushed = self._nodes()
