"""What the shipped rules really say of a fault: the simulated cluster through the pipeline, in virtual time.

The streams that `bench.alerts.streams` generates are held against this in a test.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web

from analyzer.assembly import assemble, prepare
from analyzer.central import CentralSettings
from analyzer.pipeline import Pipeline
from model.alert import Alert
from model.labels import Labels
from model.moment import SECOND
from model.settings import load_section
from simulator.cluster import Cluster
from simulator.episode import Episode
from simulator.fault import Fault
from simulator.serve import Faces
from simulator.settings import ClusterSettings
from telemetry.ingest import TargetIngest

START = 1_800_000_000_000
SCRAPE = 15 * SECOND
_REQUEST = cast(web.BaseRequest, SimpleNamespace(path="/metrics"))


@dataclass
class Recording:
    """What fired after the fault began, in the order in which it did; times in ms since the fault."""

    episode: Episode
    first: dict[Labels, int] = field(default_factory=dict)
    ended: dict[Labels, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The alerts in the order of their first firing, each once."""
        return list(dict.fromkeys(labels["alertname"] for labels in self.first))


def record(
    fault: str | Fault, minutes: int = 8, warm: int = 6, repaired: bool = True, **settings: Any
) -> Recording:
    """One fault in one small cluster. `warm` minutes are lived before it; `repaired`: somebody cordons."""
    return asyncio.run(_record(fault, minutes, warm, repaired, settings))


async def _record(
    fault: str | Fault, minutes: int, warm: int, repaired: bool, settings: dict[str, Any]
) -> Recording:
    cluster = Cluster(ClusterSettings.model_validate({"nodes": 1, **settings}), start=START)
    with tempfile.TemporaryDirectory(prefix="bench-alerts-") as folder:
        pipeline = _pipeline(Path(folder))
        scraped = _Scraped(Faces(cluster), pipeline)
        await scraped.live(START + warm * 60 * SECOND)
        onset = cluster.now
        known = {alert.labels for alert in pipeline.alerts}
        recording = Recording(cluster.inject(fault))

        def look() -> None:
            for alert in pipeline.alerts:
                if alert.labels not in known:
                    _note(recording, alert, cluster.now - onset)
            if repaired and cluster.now - onset >= 4 * 60 * SECOND:
                _repair(cluster, recording.episode)

        await scraped.live(onset + minutes * 60 * SECOND, look)
    return recording


def _note(recording: Recording, alert: Alert, since: int) -> None:
    if alert.ends_at is None:
        recording.first.setdefault(alert.labels, since)
    elif alert.labels in recording.first:
        recording.ended.setdefault(alert.labels, since)


def _repair(cluster: Cluster, episode: Episode) -> None:
    recovery = episode.fault.recovery
    if recovery.when == "node_cordoned":
        for node in cluster.related(episode.target, "node"):
            if not node.cordoned:
                cluster.cordon(node.name)
    elif recovery.when and episode.restored_at is None:
        for replica in cluster.related(episode.target, "replica"):
            if replica.started_at <= episode.onset:
                cluster.restart(replica.name)


def _pipeline(folder: Path) -> Pipeline:
    own = {"analyzer": {"listen": "127.0.0.1:0", "state_directory": str(folder)}}
    return assemble(prepare(load_section(CentralSettings, own, "bench")), START)


class _Scraped:
    """The endpoints of the cluster, scraped without HTTP."""

    def __init__(self, faces: Faces, pipeline: Pipeline) -> None:
        self._cluster, self._pipeline = faces.cluster, pipeline
        self._targets = [
            (endpoint, _ingest(pipeline, endpoint.job, endpoint.name, endpoint.labels))
            for endpoint in faces.endpoints
            if endpoint.job != "kubernetes"
        ]

    async def live(self, until: int, look: Any = lambda: None) -> None:
        """Let time go on: a tick a second, a scrape of everything every 15 s."""
        while self._cluster.now < until:
            self._cluster.step(SECOND)
            now = self._cluster.now
            if (now - START) % SCRAPE == 0:
                self._pipeline.window.advance(now)
                for endpoint, ingest in self._targets:
                    if endpoint.wanted() == "answers":
                        answer = cast(web.Response, await endpoint.handle(_REQUEST))
                        ingest.ingest(cast(bytes, answer.body), now, 0.01, answer.headers["Content-Type"])
                    else:
                        ingest.fail(now, "refused")
            self._pipeline.step(now)
            look()


def _ingest(pipeline: Pipeline, job: str, name: str, labels: Any) -> TargetIngest:
    whole = Labels({"job": job, "instance": f"{name or job}:9100", **labels})
    return TargetIngest(pipeline.window, f"{job}/{name}", SCRAPE, whole)
