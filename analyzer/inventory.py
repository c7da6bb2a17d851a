"""What the analyzer knows of its targets over a restart: which push targets there are, and what each is.

A target's kind is learned from what it ever exposed, and kept: a dead engine exposes nothing, yet the
rule that reports it must know that an engine died and not just any target. So it is a series, written as
soon as it is known. A target that nobody scrapes any more has no `up`: FORGET_AFTER later it is forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import numpy as np
from sqlalchemy import Column, Connection, MetaData, String, Table, delete, select

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.metric import Metric, Sample
from model.moment import DAY, MINUTE, SECOND
from store.columns import Moment, upsert
from store.database import Schema
from telemetry.frame_ingest import JOB, FrameReceiver, NodeRecord
from telemetry.window import LimitExceeded, Window

log = logging.getLogger("fleetowl.analyzer")

TARGET = "fleetowl/targets"
INTERVAL = 5 * SECOND
FORGET_AFTER = DAY
_LOOK_EVERY = MINUTE

METRICS = (
    Metric(
        "fleetowl_target_kind",
        "gauge",
        "1 for each target that ever exposed metrics of this kind (engine, gpu, node), or pushes (agent).",
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
_KIND = ("job", "instance", "kind")
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
        self._forgotten: set[tuple[str, str, str]] = set()
        self._missing: dict[tuple[str, str], int] = {}
        self._looked_at = 0
        self._pushed: dict[str, int] = {}
        self._generation = -1
        self._written_at = 0

    @property
    def dirty(self) -> bool:
        """Whether a target appeared or was forgotten since the last committed save."""
        return bool(self._unsaved or self._forgotten) or self._nodes() != self._pushed

    def _nodes(self) -> dict[str, int]:
        """Push targets and their intervals (ms)."""
        return {record.node: record.interval for record in self._frames.inventory()}

    def step(self, now: int) -> None:
        """Learn from the series that are new, and write what is known into the window."""
        known = len(self._kinds)
        self._forget(now)
        if self._window.generation != self._generation:
            for kind, prefixes in KIND_PREFIXES.items():
                for name in self._window.metric_names():
                    if name.startswith(prefixes):
                        self._learn(kind, name)
        if len(self._kinds) > known or not 0 <= now - self._written_at < INTERVAL:
            self._write(now)
        self._generation = self._window.generation

    def _forget(self, now: int) -> None:
        """Drop the kinds of targets of which there has been no `up` for FORGET_AFTER."""
        if 0 <= now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        selections = self._window.select([Matcher(NAME, Op.EQUAL, "up")])
        there = {(one.value("job"), one.value("instance")) for part in selections for one in part.labels}
        targets = {(job, instance) for job, instance, _ in self._kinds}
        self._missing = {target: self._missing.get(target, now) for target in targets - there}
        gone = {target for target, since in self._missing.items() if now - since >= FORGET_AFTER}
        forgotten = {found for found in self._kinds if found[:2] in gone}
        self._kinds -= forgotten
        self._unsaved -= forgotten
        self._forgotten |= forgotten

    def _learn(self, kind: str, metric: str) -> None:
        for selection in self._window.select([Matcher("__name__", Op.EQUAL, metric)]):
            for labels in selection.labels:
                found = (labels.value("job"), labels.value("instance"), kind)
                if found[1] and found not in self._kinds:
                    self._kinds.add(found)
                    self._unsaved.add(found)
                    self._forgotten.discard(found)

    def _write(self, now: int) -> None:
        self._written_at = now
        target = self._window.target(TARGET, INTERVAL)
        series = [Labels({NAME: name, **labels}) for name, labels, _ in self.samples()]
        try:
            ids = [self._window.series(target, labels, "gauge") for labels in series]
        except LimitExceeded as error:
            log.warning("the kinds of targets are not in the window: %s", error)
            return
        self._window.append(target, now, np.array(ids, dtype=np.int64), np.ones(len(ids)))

    def samples(self) -> Iterator[Sample]:
        """fleetowl_target_kind of every target known."""
        for node in self._nodes():
            yield Sample("fleetowl_target_kind", {"job": JOB, "instance": node, "kind": "agent"}, 1)
        for job, instance, kind in self._kinds:
            yield Sample("fleetowl_target_kind", {"job": job, "instance": instance, "kind": kind}, 1)

    def load(self, tx: Connection, now: int) -> None:
        """Take over what an earlier process knew."""
        self._kinds = {(row.job, row.instance, row.kind) for row in tx.execute(select(_KINDS))}
        self._pushed = {row.node: row.interval for row in tx.execute(select(_PUSHED))}
        records = [NodeRecord(node, interval, now) for node, interval in self._pushed.items()]
        self._frames.restore(records, now)

    def save(self, tx: Connection) -> None:
        """Write what is new, and drop what is forgotten."""
        for found in self._forgotten:
            same = [_KINDS.c[name] == value for name, value in zip(_KIND, found, strict=True)]
            tx.execute(delete(_KINDS).where(*same))
        rows = [dict(zip(_KIND, found, strict=True)) for found in self._unsaved]
        upsert(tx, _KINDS, rows)
        tx.execute(delete(_PUSHED))
        upsert(tx, _PUSHED, [{"node": node, "interval": ms} for node, ms in self._nodes().items()])

    def saved(self) -> None:
        """The commit succeeded."""
        self._unsaved.clear()
        self._forgotten.clear()
        self._pushed = self._nodes()
