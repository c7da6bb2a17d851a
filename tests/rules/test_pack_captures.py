"""What the packs say of real and of made-up expositions that stay as they are for half an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.labels import Labels
from model.moment import MINUTE, SECOND
from rules.group import RuleGroup
from telemetry.ingest import TargetIngest
from tests.rules.cluster import START, Cluster

INTERVAL = 15 * SECOND


def fired(groups: list[RuleGroup], body: bytes, job: str) -> set[tuple[str, str]]:
    """Names of the alerts that fire within half an hour of this page, each with the GPU that it names."""
    cluster = Cluster(groups=groups, interval=INTERVAL)
    ingest = TargetIngest(cluster.window, job, INTERVAL, Labels({"job": job, "instance": "n1:9400"}))
    for now in range(START, START + 30 * MINUTE, INTERVAL):
        cluster.window.advance(now)
        ingest.ingest(body, now)
        if now % MINUTE == 0:
            cluster.step(now)
    return {(alert.name, alert.labels.value("gpu")) for alert in cluster.fired}


def test_blanks_and_odd_gpus_of_dcgm(shared_data: Path, pack_groups: list[RuleGroup]) -> None:
    """GPU 5 reads blanks and has a latched XID 79, 6 is hot at work, 7 is idle: nothing.

    GPU 4 has profiling counters that read 0 under load. No engine is known here, so 90 % of memory stands
    as it was asked for.
    """
    body = (shared_data / "captures" / "dcgm-exporter-SYNTHETIC-8xH100-edgecases.prom").read_bytes()
    full = {("GpuMemoryHeadroomLow", gpu) for gpu in ("0", "1", "2", "4", "6")}
    assert fired(pack_groups, body, "dcgm") == {("GpuProfilingBroken", "4"), *full}


@pytest.mark.parametrize(
    "name",
    [
        "captures/dcgm-exporter-real-L4-idle.prom",
        "captures/node_exporter-1.5-debian12.prom",
        "vllm/idle.prom",
    ],
)
def test_what_is_idle_is_fine(shared_data: Path, pack_groups: list[RuleGroup], name: str) -> None:
    names = {alert for alert, _ in fired(pack_groups, (shared_data / name).read_bytes(), "one")}
    # The time in a page that is repeated for ever falls behind.
    assert names <= {"FleetowlClockSkew"}
