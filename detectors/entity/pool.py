"""A pool: alike entities, their ensemble, and what was last said about each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped
from detectors.contract import State
from detectors.entity.kinds import Kind
from detectors.entity.models.baseline import RING
from detectors.entity.models.ensemble import Ensemble, Verdict
from detectors.entity.models.fit import MODELS, Models
from detectors.entity.settings import EntitySettings
from detectors.jobs import Job
from model.moment import HOUR, SECOND
from telemetry.bits import Flags, Floats, Ints

FRESH = 90 * SECOND
"""An older value is missing; an entity without a row for so long, or for three of its intervals, is away."""
SHOWN = 3
"""So many features are named as contributors."""
_LONG = HOUR
"""Who was away for so long is judged like a new one, after RING rows. After a shorter time"""
_UNSURE = 2
"""so many rows say nothing: the rates of the first are partly of the time before, and it is the lag of the
next. An engine that works for a minute at a time has no more than four at 15 s."""
_LOYALTY = 1.5
"""A named feature stays named until another has so many times its share: names must not flicker."""
_LEAST = 0.05
"""A smaller share explains nothing."""
_MOST = 1e30
"""No quantity of a machine is larger; to the squares of larger ones no model can be fitted."""
_ENSEMBLE = "ensemble_"


class PoolKey(NamedTuple):
    """Which pool; `classed` is the print of what its entities have in common, `interval` that of rows, ms."""

    kind: int
    classed: int
    interval: int


class Told(NamedTuple):
    """What is to be said of rows, `[m]` or `[m, features]`: shares of named features, NaN of all others."""

    state: Floats
    change: Floats
    shares: Floats
    dropped: Flags  # named until now


class Pool:
    """Its entities have dense numbers; `print` says which is which, over restarts."""

    ARRAYS = ("print", "last", "mute", "told", "shown", "row", "scores", "depths", "waits")
    _EMPTY = (0, 0, 0, False, False, np.nan, np.nan, np.nan, 0)

    def __init__(self, key: PoolKey, kind: Kind, settings: EntitySettings, seed: int) -> None:
        width = len(kind.features)
        self.key, self.kind = key, kind
        self.title = kind.name
        self.patience = max(FRESH, 3 * key.interval)
        self.size = 0
        self.fitted_at = 0  # ms, the moment at which the fit of the models was asked for
        self.ensemble = Ensemble(width, key.interval, settings, seed)
        self.print: Ints = np.zeros(0, np.int64)
        self.last: Ints = np.zeros(0, np.int64)  # ms, the newest sample of the last row
        self.mute: Ints = np.zeros(0, np.int64)  # rows of which nothing will be said
        self.told: Flags = np.zeros(0, np.bool_)  # something stands that must be ended one day
        self.shown: Flags = np.zeros((0, width), np.bool_)  # features that are named
        self.row: Floats = np.empty((0, width))
        self.scores: Floats = np.empty((0, 2))
        self.depths: Floats = np.empty((0, len(MODELS)))
        self.waits: Ints = np.zeros(0, np.int64)  # rows until a restart counts, of one with an alarm on

    def admit(self, print_: int) -> int:
        """The number of one more entity."""
        number, self.size = self.size, self.size + 1
        for name, empty in zip(self.ARRAYS, self._EMPTY, strict=True):
            setattr(self, name, grown(getattr(self, name), self.size, empty))
        self.print[number] = print_
        return number

    def step(self, numbers: Ints, rows: Floats, times: Ints) -> Told:
        """Judge a row each of distinct entities, whose newest samples are of these times (ms)."""
        rows = np.clip(rows, -_MOST, _MOST)
        away = times - self.last[numbers]
        back, long = away > self.patience, away > max(_LONG, self.patience)
        self.ensemble.reserve(self.size)
        self.ensemble.lull(numbers[long])
        mute = np.where(back, np.maximum(self.mute[numbers], _UNSURE), self.mute[numbers])
        mute[long] = RING
        self.mute[numbers] = np.maximum(mute - 1, 0)
        verdict: Verdict = self.ensemble.step(rows, numbers, back, mute > 0)
        state, change = verdict.state, verdict.change
        self.last[numbers] = times
        self.row[numbers] = rows
        self.scores[numbers, 0], self.scores[numbers, 1] = state, change
        self.depths[numbers] = verdict.depths
        self._wait(numbers)
        self.told[numbers] |= ~np.isnan(state)
        shares = self._named(numbers, state > 1.0)
        dropped = self.shown[numbers] & np.isnan(shares)
        self.shown[numbers] = ~np.isnan(shares)
        return Told(state, change, shares, dropped)

    def restart(self, numbers: Ints) -> None:
        """These warm up again; those with an alarm on when that is over, at most a warm-up later."""
        on = (self.scores[numbers] > 1.0).any(axis=1)
        self.ensemble.anew(numbers[~on])
        self.waits[numbers] = np.where(on, self.ensemble.warm_up, 0)

    def _wait(self, numbers: Ints) -> None:
        waiting = numbers[self.waits[numbers] > 0]
        if len(waiting):
            self.waits[waiting] -= 1
            on = (self.scores[waiting] > 1.0).any(axis=1)
            over = waiting[~on | (self.waits[waiting] == 0)]
            self.waits[over] = 0
            self.ensemble.anew(over)

    def job(self) -> Job:
        """The fit of its models; when that is lost, another one will be due in some minutes."""
        at = int(self.last[: self.size].max(initial=0))
        return Job(self.title, self.ensemble.job(), partial(self._adopt, at), self.ensemble.lost)

    def _adopt(self, at: int, models: Models) -> None:
        self.ensemble.adopt(models)
        self.fitted_at = at

    def silence(self, numbers: Ints) -> Flags:
        """Nothing is said of these any more; returns the features that were named, `[m, features]`."""
        named = self.shown[numbers]
        self.shown[numbers] = False
        self.told[numbers] = False
        self.scores[numbers] = np.nan
        return named

    def shares(self, numbers: Ints) -> Floats:
        """What part of the deviation of the newest row each feature is, `[m, features]`; rows sum up to 1."""
        width = len(self.kind.features)
        features, parts = self.ensemble.contributions(numbers, width)
        found = np.zeros((len(numbers), width))
        np.put_along_axis(found, features, parts, axis=1)
        return found

    def forget(self, before: int) -> bool:
        """Let go of entities without a row since `before` (ms); whether there were any."""
        kept = self.last[: self.size] >= before
        if kept.all():
            return False
        new = np.where(kept, np.cumsum(kept) - 1, -1)
        self.size = int(kept.sum())
        for name, empty in zip(self.ARRAYS, self._EMPTY, strict=True):
            setattr(self, name, remapped(getattr(self, name)[: len(new)], new, self.size, empty))
        self.ensemble.remap(new, self.size)
        return True

    def snapshot(self) -> State:
        """Copies of all that it keeps."""
        return {
            "key": np.array([*self.key, self.fitted_at], np.int64),
            **{name: getattr(self, name)[: self.size].copy() for name in self.ARRAYS},
            **{_ENSEMBLE + name: array for name, array in self.ensemble.snapshot().items()},
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over one of a pool of the same key. Raises KeyError or ValueError where it does not fit."""
        size = len(state["print"])
        for name in self.ARRAYS:
            own, given = getattr(self, name), np.asarray(state[name])
            if given.shape != (size, *own.shape[1:]):
                raise ValueError(f"{name} has the shape {given.shape}, not {(size, *own.shape[1:])}")
        self.ensemble.reserve(size)
        if not self.ensemble.restore(
            {name.removeprefix(_ENSEMBLE): state[name] for name in state if name.startswith(_ENSEMBLE)}
        ):
            raise ValueError("the models are of another make")
        for name in self.ARRAYS:
            setattr(self, name, np.array(state[name], getattr(self, name).dtype))
        self.size, self.fitted_at = size, int(state["key"][3])

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        own = sum(int(getattr(self, name).nbytes) for name in self.ARRAYS)
        return own + self.ensemble.bytes

    def _named(self, numbers: Ints, anomalous: Flags) -> Floats:
        """The shares of the features to name, NaN of all others."""
        found = np.full((len(numbers), len(self.kind.features)), np.nan)
        which = np.flatnonzero(anomalous)
        if not len(which) or self.ensemble.models is None:
            return found
        shares = self.shares(numbers[which])
        favoured = np.where(self.shown[numbers[which]], _LOYALTY * shares, shares)
        best = np.argsort(-favoured, axis=1, kind="stable")[:, :SHOWN]
        held = np.take_along_axis(shares, best, axis=1)
        part = np.full_like(shares, np.nan)
        np.put_along_axis(part, best, np.where(held >= _LEAST, held, np.nan), axis=1)
        found[which] = part
        return found
