"""The streaming detectors: samples a second and core, bytes a series, beside peers and the memory's limit.

    python -m bench.detectors [--series 1000000] [--rounds 12]

All in CPU seconds of one thread, in one run, because the figures of a shared host change by the minute. The
peer is NumPy doing no more than EWMA and z; river scores one sample at a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from detectors.contract import Columns
from detectors.engine import Scoring
from detectors.streaming import week
from detectors.streaming.core import StreamingCore
from detectors.streaming.settings import StreamingSettings
from detectors.streaming.vector import HOT
from model.labels import Labels
from telemetry.bits import Floats
from telemetry.window import Window

START = 1_700_000_000_000
STEP = 5_000
PIECE = 16_384
WARM = 70  # rounds before the clock runs: past the warm-up


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=12)
    asked = parser.parse_args()
    bandwidth = copied(asked.rounds)
    print(f"memory: {bandwidth:.1f} GB/s read and written by a copy")
    for series in sorted({min(100_000, asked.series), asked.series}):
        kernel(series, asked.rounds, bandwidth)
        show("NumPy EWMA and z", series, numpy_rate(series, asked.rounds))
    hours(StreamingSettings().weekly)
    hub(min(100_000, asked.series), asked.rounds)
    river()


def show(name: str, series: int, rate: float, more: str = "") -> None:
    print(f"{name:24} {series:9,d} series {rate / 1e6:9.3f} M samples/s/core{more}")


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def copied(rounds: int) -> float:
    source = np.ones(16_000_000)
    target = np.zeros_like(source)
    best = min(timed(lambda: np.copyto(target, source)) for _ in range(rounds))
    return 2 * source.nbytes / best / 1e9


def values_of(series: int) -> list[Floats]:
    """Some rounds of noise, so that no round is that before."""
    return [np.random.default_rng(seed).normal(50, 2, series) for seed in range(4)]


def kernel(series: int, rounds: int, bandwidth: float) -> None:
    core, ids, values = StreamingCore(), np.arange(series), values_of(series)
    core.reserve(series)

    def play(round_: int) -> None:
        times = np.full(series, START + round_ * STEP)
        for at in range(0, series, PIECE):
            piece = slice(at, at + PIECE)
            core.judge(Columns(times[piece], ids[piece], values[round_ % 4][piece]))

    for round_ in range(WARM):
        play(round_)
    spent = [timed(lambda: play(WARM + round_)) for round_ in range(rounds)]  # noqa: B023
    rate, bytes_ = series / median(spent), core.bytes / series
    touched = 2 * 4 * (len(HOT) + 1) + 3 * 8 + 4 * 8  # what is hot, and the time; what comes and goes
    limit = bandwidth * 1e9 / touched
    more = f", {bytes_:.0f} bytes a series; memory alone would allow {limit / 1e6:.0f} M ({rate / limit:.0%})"
    show("whole recipe", series, rate, more)
    show("whole recipe, best", series, series / min(spent))
    shuffled = np.random.default_rng(1).permutation(series)
    columns = Columns(np.full(series, START + (WARM + rounds) * STEP), shuffled, values[0])
    show("whole recipe, shuffled", series, series / timed(lambda: core.judge(columns)))


def hours(series: int) -> None:
    """What a sample costs more when an hour begins, without and with a profile of the week; and memory."""
    settings = StreamingSettings(weekly=series)
    for name, weekly in (("hour turn", False), ("hour turn with a week", True)):
        core, ids, values = StreamingCore(settings), np.arange(series), values_of(series)
        core.reserve(series)
        if weekly:
            profile = np.zeros(week.WIDTH, np.float32)
            week.begin(profile)
            profile[: week.STATUS] = 0  # all hours are known
            profiles = np.tile(profile, (series, 1)).view(np.uint32)
            core.restore({**core.snapshot(series), "week_ids": ids, "weeks": profiles}, series)

        def play(time_: int, round_: int) -> None:
            core.judge(Columns(np.full(series, time_), ids, values[round_ % 4]))  # noqa: B023

        spent: dict[bool, list[float]] = {True: [], False: []}
        for round_ in range(200):
            turns = round_ % 4 == 0
            time_ = START + round_ // 4 * 3_600_000 + round_ % 4 * STEP
            spent[turns].append(timed(lambda: play(time_, round_)))  # noqa: B023
        more = (median(spent[True][10:]) - median(spent[False][10:])) / series
        bytes_ = core.bytes / series
        print(f"{name:24} {series:9,d} series {more * 1e9:9.0f} ns each, {bytes_:.0f} bytes a series")


def numpy_rate(series: int, rounds: int) -> float:
    level, scale, values = np.zeros(series, np.float32), np.ones(series, np.float32), values_of(series)
    given = [each.astype(np.float32) for each in values]

    def play(round_: int) -> None:
        for at in range(0, series, PIECE):
            piece = slice(at, at + PIECE)
            own, width, value = level[piece], scale[piece], given[round_ % 4][piece]
            residual = value - own
            size = np.abs(residual)
            np.divide(residual, width)
            own += np.float32(0.02) * residual
            width += np.float32(0.01) * (size - width)

    play(0)
    return series / median([timed(lambda: play(round_)) for round_ in range(rounds)])  # noqa: B023


def hub(series: int, rounds: int) -> None:
    """From the journal to the scores, all detectors that are on; nobody demands results."""
    window = Window(retention=100 * STEP)
    target = window.target("t", STEP)
    ids = np.array([window.series(target, label(number), "gauge") for number in range(series)])
    scoring, values = Scoring(window), values_of(series)

    def write(round_: int) -> None:
        window.advance(START + round_ * STEP)
        window.append(window.target("t", STEP), START + round_ * STEP, ids, values[round_ % 4])

    spent = []
    for round_ in range(10 + rounds):
        write(round_)
        spent.append(timed(lambda: scoring.step(START + round_ * STEP)))  # noqa: B023
    show("hub, journal to scores", series, series / median(spent[10:]))


def label(number: int) -> Labels:
    return Labels({"__name__": "queue_depth", "instance": f"n{number}"})


def river() -> None:
    """Score and learn, one sample at a time, as river does."""
    from river import anomaly, drift

    values = values_of(2_000)[0].tolist()
    models: Any = anomaly
    for name in ("GaussianScorer", "StandardAbsoluteDeviation"):
        model = getattr(models, name)()
        show(f"river {name}"[:24], 1, len(values) / timed(lambda: scored(model, values)))  # noqa: B023
    trees = models.HalfSpaceTrees(seed=1)
    show("river HalfSpaceTrees", 1, len(values) / timed(lambda: fed(trees, values)))
    adwin: Any = drift.ADWIN()  # type: ignore[no-untyped-call]
    show("river ADWIN", 1, len(values) / timed(lambda: [adwin.update(each) for each in values]))


def scored(model: Any, values: list[float]) -> None:
    for value in values:
        model.score_one(None, value)
        model.learn_one(None, value)


def fed(model: Any, values: list[float]) -> None:
    for value in values:
        model.score_one({"x": value / 100})
        model.learn_one({"x": value / 100})


if __name__ == "__main__":
    main()
