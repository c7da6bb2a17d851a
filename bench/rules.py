"""How long the shipped rules take over a fleet of 100,000 series.

    python -m bench.rules [--nodes 1000]

Every node has one target with a GPU exporter's, a host's and an engine's series among others that no rule
reads; half an hour of samples is not needed, a window of five minutes at 5 s is filled. Prints what one
evaluation of each group takes once label work is done, the first one that does it, and what a change of
the series costs.
"""

from __future__ import annotations

import argparse
import platform
import time
from statistics import median

import numpy as np

from model.labels import Labels
from model.moment import SECOND
from rules.engine import RuleEngine
from rules.files import load_rule_files
from rules.packs import shipped
from rules.settings import RuleSettings
from telemetry.window import Target, Window

START = 1_795_176_000_000
INTERVAL = 5 * SECOND
SAMPLES = 60

ENGINE = (
    *("num_requests_running", "num_requests_waiting", "generation_tokens_total", "prompt_tokens_total"),
    *("iteration_tokens_total_count", "num_preemptions_total", "kv_cache_usage_perc"),
)
HOST = (
    *("load1", "memory_MemAvailable_bytes", "memory_MemTotal_bytes"),
    *(f"pressure_{kind}_seconds_total" for kind in ("memory_stalled", "io_stalled", "cpu_waiting")),
)
# What rises with time in a counter would be a fault in these.
HEALTHY = {
    "DCGM_FI_DEV_XID_ERRORS": 0.0,
    "DCGM_FI_DEV_GPU_TEMP": 55.0,
    "DCGM_FI_DEV_SM_CLOCK": 1900.0,
    "vllm:num_requests_running": 8.0,
    "vllm:num_requests_waiting": 0.0,
    "vllm:kv_cache_usage_perc": 0.5,
    "node_load1": 3.0,
    "node_memory_MemAvailable_bytes": 6e11,
    "node_memory_MemTotal_bytes": 1e12,
    "up": 1.0,
}
BUCKETS = ("0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")


def series_of(node: int, fill: int) -> list[Labels]:
    """The series of one node; `fill` of them are read by no rule."""
    here = {"job": "node", "instance": f"n{node}:9100"}
    engine = {**here, "engine": "0", "model_name": f"m{node % 10}"}
    rows = [Labels({"__name__": f"node_{name}", **here}) for name in HOST]
    rows += [Labels({"__name__": f"vllm:{name}", **engine}) for name in ENGINE]
    ttft = "vllm:time_to_first_token_seconds"
    rows += [Labels({"__name__": f"{ttft}_bucket", "le": le, **engine}) for le in BUCKETS]
    rows.append(Labels({"__name__": f"{ttft}_count", **engine}))
    for gpu in range(8):
        labels = {**here, "gpu": str(gpu), "UUID": f"GPU-{node}-{gpu}", "Hostname": f"n{node}"}
        for name in ("GPU_TEMP", "SM_CLOCK", "XID_ERRORS"):
            rows.append(Labels({"__name__": f"DCGM_FI_DEV_{name}", **labels}))
    for status in ("2xx", "5xx"):
        rows.append(Labels({"__name__": "http_requests_total", "status": status, **here}))
    rows.append(Labels({"__name__": "up", **here}))
    rows += [Labels({"__name__": f"other_{k}", **here}) for k in range(fill)]
    return rows


def fleet(nodes: int, series: int) -> tuple[Window, list[tuple[Target, np.ndarray]], int]:
    """A window of `nodes` targets with `series` series in all, five minutes full."""
    window = Window()
    plain = len(series_of(0, 0))
    targets, healthy = [], []
    for node in range(nodes):
        target = window.target(f"node/{node}", INTERVAL)
        rows = series_of(node, max(0, series // nodes - plain))
        healthy.append(np.array([HEALTHY.get(labels.name, np.nan) for labels in rows]))
        targets.append((target, np.array([window.series(target, labels) for labels in rows])))
    chance = np.random.default_rng(7)
    for sample in range(SAMPLES):
        for (target, ids), steady in zip(targets, healthy, strict=True):
            values = np.where(np.isnan(steady), sample + chance.random(len(ids)), steady)
            window.append(target, START + sample * INTERVAL, ids, values)
    return window, targets, START + (SAMPLES - 1) * INTERVAL


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--series", type=int, default=100_000)
    asked = parser.parse_args()
    window, targets, now = fleet(asked.nodes, asked.series)
    settings = RuleSettings.model_validate({"evaluation_interval": "1s"})
    engine = RuleEngine(window, load_rule_files(shipped()), START, settings, timer=time.process_time)
    print(
        f"{window.series_count} series of {asked.nodes} targets; {platform.processor() or platform.machine()}"
    )
    first = timed(lambda: engine.step(now))
    steps: list[float] = []
    durations: dict[str, list[float]] = {group.group.name: [] for group in engine.groups}
    for k in range(1, 11):
        steps.append(timed(lambda k=k: engine.step(now + k * SECOND)))
        for group in engine.groups:
            durations[group.group.name].append(group.duration)
    window.series(targets[0][0], Labels({"__name__": "up", "job": "new", "instance": "new"}))
    changed = timed(lambda: engine.step(now + 11 * SECOND))
    for name, found in durations.items():
        print(f"  {name:20} {median(found) * 1000:8.1f} ms")
    print(f"  all groups           {median(steps) * 1000:8.1f} ms CPU (median of {len(steps)})")
    print(f"  first evaluation     {first * 1000:8.1f} ms CPU")
    print(f"  after a new series   {changed * 1000:8.1f} ms CPU")
    failures = sum(group.failures for group in engine.groups)
    print(f"  {sum(1 for _ in engine.active())} alerts active, {failures} failures")


def timed(work: object) -> float:
    begun = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - begun


if __name__ == "__main__":
    main()
