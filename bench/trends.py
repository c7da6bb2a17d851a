"""Trends: lead time on leaks injected into real series, and ETAs where nothing leaks.

Run as `python -m bench.trends DIR [--seed N]`. DIR is the parent of smd/ and mscloud/. Columns of SMD's train
files and anomaly-free stretches of mscloud, as means of five minutes, are what a leak is added to.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from detectors.contract import Moment
from detectors.trends.detector import TrendDetector
from model.labels import Labels
from model.moment import DAY, HOUR, MINUTE
from telemetry.bits import Floats
from telemetry.window import Window

START = 1_700_000_000_000
STEP = 5 * MINUTE
METRIC = "node_memory_MemAvailable_bytes"


def etas(values: Floats, step: int = STEP) -> Floats:
    """Seconds to 0 of each column of `values` [ticks, series] that shrinks, NaN where none is told."""
    window = Window()
    target = window.target("nodes", step)
    for number in range(values.shape[1]):
        window.series(target, Labels({"__name__": METRIC, "instance": str(number)}), "gauge")
    detector = TrendDetector()
    detector.demand(window, METRIC)
    told = np.full(values.shape, np.nan)
    for tick, row in enumerate(values):
        at = START + tick * step
        results = detector.step(Moment(at, np.full(len(row), at), np.ascontiguousarray(row)))
        told[tick, results.subjects] = results.values[:, 0]
    return told


def columns(data: Path) -> tuple[list[str], Floats]:
    """Kind of each column and [ticks, series], NaN after the end; scaled so that the limit is not near."""
    names, found = [], []
    for path in sorted((data / "smd").glob("*.npz")):
        train = np.load(path)["train"].astype(float)
        moving = train[:, train.std(axis=0) > 0.005]
        found += list(_scaled(moving).T)
        names += [f"smd {path.stem}"] * moving.shape[1]
    for path in sorted((data / "mscloud").rglob("*.csv.gz")):
        rows = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(1, 2))
        quiet = rows[rows[:, 1] == 0, 0][:24_000]
        if len(quiet) > 2_000 and quiet.std() > 0:
            found.append(_scaled(quiet[:, None])[:, 0])
            names.append(f"mscloud {path.parent.name}")
    values = np.full((max(len(column) for column in found), len(found)), np.nan)
    for place, column in enumerate(found):
        values[: len(column), place] = column
    return names, values


def _scaled(values: Floats) -> Floats:
    """Means of five minutes, 0.4-0.6."""
    whole = values[: len(values) // 5 * 5].reshape(-1, 5, values.shape[1]).mean(axis=1)
    low, high = np.nanquantile(whole, (0.01, 0.99), axis=0)
    return np.asarray(0.4 + 0.2 * np.clip((whole - low) / np.maximum(high - low, 1e-9), -1, 2))


def false_etas(names: list[str], values: Floats) -> None:
    """ETAs below the reach of the shipped rules, of series that leak nothing."""
    told = etas(values)
    for reach in (6 * HOUR, DAY):
        high = told < reach / 1000
        begins = (np.diff(high.astype(int), axis=0, prepend=0) == 1).sum(axis=0)
        days = np.isfinite(values).sum(axis=0) * STEP / DAY
        for kind in ("smd", "mscloud"):
            own = np.array([name.startswith(kind) for name in names])
            began, all_days = int(begins[own].sum()), days[own].sum()
            share = high[:, own].sum() * STEP / DAY / all_days
            print(
                f"  {kind:>8}, ETA < {reach / HOUR:3.0f} h: {began:4d} times in {all_days:5.0f} series-days"
                f" = {began / all_days:.3f} a series-day, {share:.2%} of the time"
            )


def lead(names: list[str], values: Floats, hours: float, seed: int) -> None:
    """Leaks down to 0 in `hours`, begun after two days: when they are told, and how well."""
    rng = np.random.default_rng(seed)
    length, begin = int(hours * HOUR / STEP), 2 * DAY // STEP
    whole = np.flatnonzero(np.isfinite(values[: begin + length]).all(axis=0))
    chosen = rng.permutation(whole)[:40]
    series = values[: begin + length, chosen].copy()
    series[begin:] -= np.median(series[:begin], axis=0) * np.linspace(0, 1, length)[:, None]
    told = etas(np.maximum(series, 0.0))[begin:]
    truth = (length - np.arange(length))[:, None] * STEP / 1000
    good = (told < 2 * truth) & (told > truth / 2)
    for half in (0, 1):
        found = [
            (at[0] / length, column[at[0] :].mean())
            for column in good.T[half::2]
            if len(at := np.flatnonzero(column))
        ]
        first, kept = np.median(np.array(found or [(np.nan, np.nan)]), axis=0)
        print(
            f"  {hours:4.0f} h to the limit, half {half}: {len(found)} of {len(chosen[half::2])} told within"
            f" a factor of two, first after {first:.0%} of the way, then {kept:.0%} of the time"
        )


def speed(series: int = 20_000) -> None:
    rng = np.random.default_rng(1)
    values = 0.5 + 0.02 * rng.normal(size=(40, series))
    etas(values[:2])
    start = time.process_time()
    etas(values, 15_000)
    spent = time.process_time() - start
    print(
        f"{series} series every 15 s: {spent / 40 / 15:.2%} of a core,"
        f" {values.size / spent / 1e6:.2f} M values/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    speed()
    names, values = columns(chosen.data)
    false_etas(names, values)
    for hours in (8.0, 24.0, 72.0):
        lead(names, values, hours, chosen.seed)


if __name__ == "__main__":
    main()
