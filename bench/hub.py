"""From the journal to scores: samples a second through the hub, and how much of it is the kernel.

    python -m bench.hub [--series 1000000] [--roles 0.3] [--per-target 1000] [--sweeps 70] [--demanded 40]

One process, one core. Each sweep is a scrape of all targets, 5 s after the one before; a part `--roles` of
the series belongs to engines and GPUs and is judged by what there is to do. The first ten sweeps are not
counted: memory is touched for the first time, and code is loaded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from detectors.contract import SCORE, Columns
from detectors.engine import Scoring
from detectors.settings import DetectorSettings
from detectors.streaming.core import StreamingCore
from model.labels import Labels
from telemetry.bits import Ints
from telemetry.settings import WindowLimits
from telemetry.window import Target, Window

START = 1_700_000_000_000
STEP = 5_000
FIRST = 10
ENGINE = (
    *("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"),
    *("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:request_success_total"),
    *("vllm:e2e_request_latency_seconds_sum", "vllm:e2e_request_latency_seconds_count"),
)
GPU = (
    *("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_GPU_TEMP"),
    *("DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_DEV_MEMORY_TEMP"),
    "DCGM_FI_DEV_FB_USED",
)


def names(count: int, roles: float) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics and own labels of one target: a process, plain gauges, a third counters, engines, GPUs."""
    yield "process_start_time_seconds", {}
    yield "node_boot_time_seconds", {}
    part = int(count * roles)
    for place in range(count - 2):
        if place >= part:
            counter = place % 3 == 0
            yield f"app_metric_{place % 400}{'_total' * counter}", {"shard": str(place // 400)}
        elif place < part // 2:
            yield ENGINE[place % 8], {"engine": str(place // 8), "model_name": "m"}
        else:
            yield GPU[place % 8], {"gpu": str(place // 8), "UUID": f"GPU-{place // 8}"}


def fill(window: Window, series: int, per_target: int, roles: float) -> list[tuple[Target, Ints]]:
    """The targets and their series."""
    found = []
    for node in range(max(1, series // per_target)):
        target = window.target(f"n{node}", STEP)
        own = {"instance": f"n{node}:9100", "job": "bench", "Hostname": f"n{node}"}
        ids = []
        for name, more in names(per_target, roles):
            if "UUID" in more:
                more = {**more, "UUID": f"GPU-{node}-{more['gpu']}"}
            kind = "counter" if name.endswith(("_total", "_count", "_sum")) else "gauge"
            ids.append(window.series(target, Labels({"__name__": name, **own, **more}), kind))
        found.append((target, np.array(ids)))
    return found


def kernel_rate(series: int) -> float:
    """Samples a second of the streaming detectors alone, in pieces as the hub hands them over."""
    core = StreamingCore()
    chance = np.random.default_rng(1)
    ids, spent = np.arange(series), 0.0
    for sweep in range(FIRST):
        values, times = 50 + chance.random(series), np.full(series, START + sweep * STEP)
        begun = time.process_time()
        for start in range(0, series, 16_384):
            part = slice(start, start + 16_384)
            core.judge(Columns(times[part], ids[part], values[part]))
        spent += (time.process_time() - begun) * (sweep >= FIRST // 2)
    return series * (FIRST - FIRST // 2) / spent


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--per-target", type=int, default=1_000)
    parser.add_argument("--roles", type=float, default=0.0)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--demanded", type=int, default=0, help="metrics of which the score is demanded")
    asked = parser.parse_args()
    window = Window(retention=12 * STEP, limits=WindowLimits(memory=8 << 30, series=2 * asked.series))
    scoring = Scoring(window, DetectorSettings())
    scoring.warm()
    begun = time.process_time()
    targets = fill(window, asked.series, asked.per_target, asked.roles)
    made = time.process_time() - begun
    begun = time.process_time()
    scoring.step(START)
    noticed = time.process_time() - begun
    print(f"{window.size} series of {len(targets)} targets, a part of {asked.roles} with a role")
    print(f"  new series            {made / window.size * 1e6:6.1f} us in the window,", end=" ")
    print(f"{noticed / window.size * 1e6:.1f} us in the detectors, each")
    for metric in range(asked.demanded):
        scoring.demand(f"app_metric_{399 - metric}", SCORE)
    measure(window, scoring, targets, asked.sweeps)
    made = window.series_count - sum(len(ids) for _, ids in targets)
    print(f"  results as series     {made:6d}, {asked.demanded} metrics demanded")
    print(f"  the kernel alone      {kernel_rate(min(asked.series, 200_000)) / 1e6:6.1f} M samples/s")


def measure(window: Window, scoring: Scoring, targets: list[tuple[Target, Ints]], sweeps: int) -> None:
    """Scrape and score."""
    chance = np.random.default_rng(7)
    wrote = scored = 0.0
    counted = 0
    noise = 50 + chance.random(1 << 16)
    for sweep in range(sweeps):
        now = START + (sweep + 1) * STEP
        window.advance(now)
        for place, (target, ids) in enumerate(targets):
            offset = (sweep * 977 + place * 131) % 60_000
            values = np.resize(noise[offset:], len(ids)) + (np.arange(len(ids)) % 3 == 2) * 100.0 * sweep
            values[:2] = 1e9, 1e9
            begun = time.process_time()
            window.append(target, now, ids, values)
            wrote += (time.process_time() - begun) * (sweep >= FIRST)
        begun = time.process_time()
        learned = scoring.step(now)
        if sweep >= FIRST:
            scored += time.process_time() - begun
            counted += learned
    print(f"  into the window       {counted / max(wrote, 1e-9) / 1e6:6.1f} M samples/s")
    print(f"  journal to scores     {counted / max(scored, 1e-9) / 1e6:6.1f} M samples/s")


if __name__ == "__main__":
    main()
