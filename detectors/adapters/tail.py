"""One meaning for scores of any kind: how rare is a score, measured by the scores of the same series before.

A detector of a library gives numbers whose size means something only to it. What a rule wants to know is
whether such a number comes once in a million samples: 1 stands for the accepted number of false alarms.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.arrays import ByPlace
from telemetry.bits import Floats, Ints

_DAY = 86_400_000  # ms
_TAIL = 0.1  # the part of all scores that is tail
_TAIL_NATS = math.log(1 / _TAIL)
_STEP = 0.1  # how fast the edge moves, in excesses
_WEIGHT = 0.02  # of a new excess in their mean
_CLIP = 5.0  # an excess counts as at most this many
_LONG = 600_000  # ms; a longer gap between two samples is no interval


class Tail(ByPlace):
    """Where the highest tenth of the scores of a series begins (edge), and its mean excess, by place.

    A score s beyond the edge is reached by a part 0.1 * exp(-(s - edge) / excess) of all: peaks over a
    threshold with an exponential tail (Pickands, "Statistical inference using extreme order statistics",
    1975, shape 0), learned from a stream. Divided by the rarity of the budget, both as logarithms, that is
    the calibrated score.

    When it fails: a tail heavier than exponential gives more false alarms than the budget accepts.

    >>> tail = Tail(1, warm_up=50, budget=0.05, most=100.0)
    >>> drawn = np.random.default_rng(3).exponential(size=2000)
    >>> for tick, score in enumerate(drawn):
    ...     last = tail.step(np.array([0]), np.array([tick * 5_000]), np.array([score]))
    >>> tail.step(np.array([0]), np.array([10_000_000]), np.array([40.0])) > 1
    array([ True])
    """

    ARRAYS = ("count", "edge", "excess", "first", "last_time", "interval")

    def __init__(self, places: int, warm_up: int, budget: float, most: float) -> None:
        """The first `warm_up` scores of a series are kept to begin with; budget in false alarms a day."""
        self.warm_up = warm_up
        self.budget = budget
        self.most = most
        self.count: Ints = np.zeros(places, np.int64)
        self.edge: Floats = np.zeros(places)
        self.excess: Floats = np.zeros(places)
        self.first: Floats = np.full((places, warm_up), np.nan)
        self.last_time: Ints = np.zeros(places, np.int64)
        self.interval: Floats = np.zeros(places)  # ms, mean

    def step(self, places: Ints, times: Ints, raw: Floats) -> Floats:
        """The calibrated scores of one raw score each of distinct places, then learn; NaN in warm-up."""
        self._pace(places, times)
        ready = self.count[places] >= self.warm_up
        scores = np.full(len(places), np.nan)
        scores[ready] = self._rarity(places[ready], raw[ready])
        self._learn(places[ready], raw[ready])
        for place, score in zip(places[~ready].tolist(), raw[~ready].tolist(), strict=True):
            self._collect(place, score)
        return scores

    def _pace(self, places: Ints, times: Ints) -> None:
        last = self.last_time[places]
        gap = np.minimum(times - last, _LONG)
        mean = self.interval[places]
        self.interval[places] = np.where(
            last == 0, mean, np.where(mean == 0, gap, mean + 0.05 * (gap - mean))
        )
        self.last_time[places] = times

    def _rarity(self, places: Ints, raw: Floats) -> Floats:
        part_of_day = np.maximum(self.interval[places], 1.0) / _DAY
        target = -np.log(np.minimum(self.budget * part_of_day, 0.01))
        over = (raw - self.edge[places]) / self.excess[places]
        nats = np.where(over > 0, _TAIL_NATS + over, _TAIL_NATS * np.exp(np.clip(over, -50, 0)))
        return np.minimum(nats / target, self.most)

    def _learn(self, places: Ints, raw: Floats) -> None:
        count, edge, excess = self.count[places], self.edge[places], self.excess[places]
        beyond = raw > edge
        weight = np.maximum(_WEIGHT, 1.0 / (5.0 + _TAIL * count))
        moved = excess + weight * (np.minimum(raw - edge, _CLIP * excess) - excess)
        self.excess[places] = np.where(beyond, moved, excess)
        self.edge[places] = edge + _STEP * excess * np.where(beyond, 1.0 - _TAIL, -_TAIL)
        self.count[places] = count + 1

    def _collect(self, place: int, score: float) -> None:
        """One of the first scores. While they are all the same nothing is known of their tail."""
        count = int(self.count[place])
        if count == 1 and self.first[place, 0] == score:
            return
        self.first[place, count] = score
        self.count[place] = count + 1
        if count + 1 == self.warm_up:
            first = self.first[place]
            edge = float(np.quantile(first, 1 - _TAIL))
            typical = float(np.abs(first - np.median(first)).mean())
            beyond = first[first > edge] - edge
            self.edge[place] = edge
            self.excess[place] = max(float(beyond.mean()) if len(beyond) else 0.0, 0.5 * typical, 1e-12)

    def forget(self, places: Ints) -> None:
        """These places are free."""
        self.count[places] = self.last_time[places] = 0
        self.edge[places] = self.excess[places] = self.interval[places] = 0.0
        self.first[places] = np.nan
