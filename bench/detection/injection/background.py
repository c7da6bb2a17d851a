"""Groups of peers made from real rows: eight that share one load, each with noise of its own.

The rows are those of a machine's train part (SMD, ASD), where no anomaly is labelled, replayed as if they
were 5 s apart. The metrics are drawn from those that move and have a level; each member follows them with a
gain of its own (2 %) and noise of half of the metric's short-term noise at that time. That is more than
GPUs of one engine should differ by: most of SMD's metrics move by 15 to 35 % of their level from row to row,
so their members differ by a tenth of it or more, and that noise follows the load over five minutes, not from
row to row. It is kept as the harder case, for others may make peers so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.detection.labelled.machines import Machine
from model.moment import SECOND
from telemetry.bits import Floats, Ints

INTERVAL = 5 * SECOND
MEMBERS = 8
METRICS = 8
FEWEST_METRICS = 4
HISTORY = 4_320
"""Rows that the detectors have seen before the first episode: six hours."""
_GAIN = 0.02
_OWN_NOISE = 0.5
_LOCAL = 60  # rows
_TRIES = 20


@dataclass(frozen=True)
class Group:
    """From the data set `origin`: `values` `[n, members, d]`, the first `history` rows before any episode."""

    origin: str
    values: Floats
    history: int

    @property
    def noise(self) -> Floats:
        """The robust sigma of the short-term noise of each member's metrics, `[members, d]`."""
        return short_noise(self.values[: self.history])


def short_noise(values: Floats) -> Floats:
    """1.4826 MAD of the differences from row to row over the root of 2, along the first axis.

    Where more than half of the differences are the same, from their mean instead (1.2533 mean |e|).

    >>> noise = np.random.default_rng(1).normal(10, 3, 10_000)
    >>> round(float(short_noise(noise)), 1)
    3.0
    """
    moves = np.diff(values, axis=0)
    moves = np.abs(moves - np.median(moves, axis=0))
    robust = 1.4826 * np.median(moves, axis=0)
    return np.asarray(np.where(robust > 0, robust, 1.2533 * moves.mean(axis=0)) / np.sqrt(2.0))


def group(origin: str, machines: Sequence[Machine], rows: int, chance: np.random.Generator) -> Group | None:
    """A group from a random stretch of `rows` rows of a random machine; None where none is fit for it."""
    fit = [machine for machine in machines if len(machine.train) >= rows]
    for _ in range(_TRIES if fit else 0):
        machine = fit[chance.integers(len(fit))]
        begin = int(chance.integers(len(machine.train) - rows + 1))
        stretch = machine.train[begin : begin + rows]
        metrics = _lively(stretch)
        if len(metrics) >= FEWEST_METRICS:
            chosen = chance.permutation(metrics)[:METRICS]
            return Group(origin, _members(stretch[:, chosen], chance), HISTORY)
    return None


def _lively(stretch: Floats) -> Ints:
    """Metrics that have a level and noise throughout: a fault of one that always rests is none."""
    parts = np.array_split(stretch, 4)
    noisy = np.all([short_noise(part) > 0.002 * np.abs(part).max(axis=0) for part in parts], axis=0)
    level = np.all([np.median(part, axis=0) > 0.1 * part.max(axis=0) for part in parts], axis=0)
    return np.flatnonzero(noisy & level & np.isfinite(stretch).all(axis=0))


def _members(base: Floats, chance: np.random.Generator) -> Floats:
    gain = 1.0 + _GAIN * chance.normal(size=(MEMBERS, base.shape[1]))
    noise = chance.normal(size=(len(base), MEMBERS, base.shape[1]))
    return np.maximum(base[:, None, :] * gain + _OWN_NOISE * local_noise(base)[:, None, :] * noise, 0.0)


def local_noise(base: Floats) -> Floats:
    """The short-term noise round each row, `[n, d]`: what is noisy under load is calmer at rest."""
    starts = np.arange(0, len(base), _LOCAL)
    blocks = np.stack([short_noise(base[max(start - 1, 0) : start + _LOCAL + 1]) for start in starts])
    middles = starts + _LOCAL / 2
    rows = np.arange(len(base))
    return np.stack([np.interp(rows, middles, column) for column in blocks.T], axis=1)
