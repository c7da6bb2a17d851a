"""`fleetowl demo`: a simulated cluster breaks, a real analyzer answers, and the terminal tells the story.

Everything is real but the cluster: HTTP scrapes, rules, notifications, a PATCH on a node API. It needs no
GPU, no cluster and no network, listens on loopback on free ports, and keeps its state in a temporary folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
import time
from pathlib import Path

import yaml

from analyzer.central import CentralSettings
from analyzer.service import Analyzer
from model.moment import SECOND
from model.settings import load_section
from simulator.cluster import Cluster
from simulator.pager import Pager
from simulator.serve import Faces
from simulator.settings import ClusterSettings
from simulator.story import Chapter, Story

HEALTHY_SECONDS = 15.0
"""How long the cluster is watched before the fault, so that everything has been scraped a few times."""
PATIENCE_SECONDS = 180.0
"""After this the demo ends and says what did not happen."""
SCRAPE_INTERVAL = "5s"
FAULT = "G01"
"""A GPU falls off the bus: the one fault that a shipped runbook answers."""


def run_demo(seed: int, *, once: bool) -> int:
    """Run the demo; the exit status is 0 if the whole story happened."""
    logging.getLogger("fleetowl").setLevel(logging.ERROR)  # the story says it better
    return asyncio.run(_run(seed, once))


async def _run(seed: int, once: bool) -> int:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    with tempfile.TemporaryDirectory(prefix="fleetowl-demo-") as folder:
        cluster = Cluster(ClusterSettings(seed=seed), start=round(time.time() * SECOND))
        async with Faces(cluster) as faces:
            pager = Pager()
            await pager.start()
            settings = demo_settings(faces, pager, Path(folder))
            analyzer = Analyzer(settings, lambda: settings)
            await analyzer.start()
            try:
                return await _tell(cluster, analyzer, pager, once, over)
            finally:
                await analyzer.stop()
                await pager.stop()


async def _tell(cluster: Cluster, analyzer: Analyzer, pager: Pager, once: bool, over: asyncio.Event) -> int:
    story = Story(cluster, analyzer.pipeline)
    pager.show = story.page
    nodes, gpus, replicas = len(cluster.nodes), len(cluster.gpus), len(cluster.replicas)
    story.say(Chapter.SCENE, f"{nodes} nodes with {gpus} GPUs serve a model with {replicas} replicas")
    story.say(
        Chapter.SCENE, f"the analyzer is at http://{analyzer.address}, scraping every {SCRAPE_INTERVAL}"
    )
    await _pause(over, HEALTHY_SECONDS)
    story.say(Chapter.SCENE, story.health())
    story.begin(FAULT)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not over.is_set() and not story.finished and time.monotonic() < deadline:
        await _pause(over, 0.2)
        story.follow()
    if over.is_set():
        return 130
    status = story.sum_up()
    if not once:
        url = f"http://{analyzer.address}"
        story.say(Chapter.SCENE, f"look around: fleetowl incidents list --all --url {url}")
        story.say(Chapter.SCENE, f"take the cordon back: fleetowl runbooks undo RUN --url {url}")
        story.say(Chapter.SCENE, "Ctrl-C ends the demo")
        await over.wait()
    return status


async def _pause(over: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


def demo_settings(faces: Faces, pager: Pager, folder: Path) -> CentralSettings:
    """The analyzer's configuration: what a user would write, with the addresses of the simulation."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(faces.kubernetes_url)))
    return load_section(
        CentralSettings,
        {
            "analyzer": {"listen": "127.0.0.1:0", "state_directory": str(folder)},
            "scrape_configs": _scrape_configs(faces),
            "alertmanager": {
                "route": {"receiver": "on-call", "group_by": ["incident"], "group_wait": "5s"},
                "receivers": [{"name": "on-call", "webhook_configs": [{"url": pager.url}]}],
            },
            "runbooks": {
                "enabled": True,
                "mode": "auto",
                "kubeconfig": str(kubeconfig),
                "audit_file": str(folder / "audit.jsonl"),
            },
        },
        "demo",
    )


def _scrape_configs(faces: Faces) -> list[dict[str, object]]:
    jobs: dict[str, list[object]] = {}
    for target in faces.targets():
        address = target.url.removeprefix("http://").removesuffix("/metrics")
        static = {"targets": [address], "labels": dict(target.labels)}
        jobs.setdefault(target.job, []).append(static)
    return [
        {
            "job_name": job,
            "scrape_interval": SCRAPE_INTERVAL,
            "scrape_timeout": "4s",
            "static_configs": static,
        }
        for job, static in jobs.items()
    ]


def _kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "demo", "cluster": {"server": url}}],
        "users": [{"name": "demo", "user": {}}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
        "current-context": "demo",
    }
