"""How long from a fault to the page, and from a lost node to its alert; real time, on this host.

    python -m bench.demo [--seeds 3]

The peer is what a team without Fleetowl runs: the same rule in a real Prometheus would be evaluated at its
default 15 s scrape and 1 m evaluation; it is not run here, because the demo's cluster exists only for a
minute. The physical limit of the first figure is one scrape (5 s) plus one evaluation (1 s).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.settings import AgentSettings
from analyzer.central import CentralSettings
from analyzer.service import Analyzer
from model.moment import SECOND
from model.settings import load_section
from simulator.cluster import Cluster
from simulator.demo import demo_settings
from simulator.pager import Pager
from simulator.serve import Faces
from simulator.settings import ClusterSettings
from simulator.story import Story


async def fault_to_notification(seed: int, folder: Path) -> dict[str, float]:
    """Seconds from the injection of G01 to each chapter of the story."""
    cluster = Cluster(ClusterSettings(seed=seed), start=round(time.time() * SECOND))
    async with Faces(cluster) as faces:
        pager = Pager()
        await pager.start()
        settings = demo_settings(faces, pager, folder)
        analyzer = Analyzer(settings, lambda: settings)
        await analyzer.start()
        story = Story(cluster, analyzer.pipeline)
        pager.show = story.page
        await asyncio.sleep(12 + seed % 5)  # the fault must not fall on the beat of the scrapes
        story.begin("G01")
        deadline = time.monotonic() + 90
        while "notified" not in story.moments and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            story.follow()
        await analyzer.stop()
        await pager.stop()
    return story.moments


async def node_loss(interval: str, folder: Path) -> float:
    """Seconds from an agent's sudden silence to the firing InstanceDown."""
    settings = load_section(
        CentralSettings,
        {"analyzer": {"listen": "127.0.0.1:0", "state_directory": str(folder)}},
        "bench",
    )
    analyzer = Analyzer(settings, lambda: settings)
    await analyzer.start()
    configuration = folder / "agent.yml"
    push = {"url": f"http://{analyzer.address}", "spool": {"directory": str(folder / "spool")}}
    agent = {"interval": interval, "node": "bench", "listen": "127.0.0.1:0", "push": push}
    configuration.write_text(json.dumps({"agent": agent}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleetowl", "agent", "--config", str(configuration), stderr=subprocess.DEVNULL
    )
    await asyncio.sleep(15)
    process.kill()  # no farewell, as when the node loses power
    await process.wait()
    silent_since = time.monotonic()
    while not any(alert.name == "InstanceDown" for alert in analyzer.pipeline.alerts):
        await asyncio.sleep(0.05)
        if time.monotonic() - silent_since > 60:
            break
    took = time.monotonic() - silent_since
    await analyzer.stop()
    return took


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("fleetowl").setLevel(logging.ERROR)
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            moments = asyncio.run(fault_to_notification(seed, Path(folder)))
        told = ", ".join(f"{word} {seconds:.1f} s" for word, seconds in moments.items())
        print(f"fault to notification, 5 s scrape, seed {seed}: {told} (aim: notified <= 30 s)")
    default = AgentSettings().interval // SECOND
    for interval in ("1s", f"{default}s"):
        with tempfile.TemporaryDirectory() as folder:
            took = asyncio.run(node_loss(interval, Path(folder)))
        print(f"node loss seen, agent interval {interval}: {took:.1f} s (aim: < 10 s)")


if __name__ == "__main__":
    main()
