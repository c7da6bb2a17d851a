"""Restarts: from which sample on a series is about another run of its process or host.

A process tells when it started; where it does not, a counter of its work that fell tells as much, and so does
any counter for itself. What a host or a GPU is about does not restart with its exporter: hosts tell when they
booted. A process of which neither is known is taken for another one after five minutes without a sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped, taken_over
from detectors.contract import Columns, State
from detectors.workload.roles import Role, concerned, role_of
from detectors.workload.signals import Signals, asked_once
from model.labels import Labels
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_GONE_FOR = 300_000  # ms: Prometheus' look-back
_DRIFT = 5.0  # s: a boot time follows the clock, which is set
_HOST = re.compile(r"node_.*")
_OTHER = re.compile(r"DCGM_.*|kube_.*|fleetowl_.*|scrape_.*|up")
_STARTED = ("process_start_time_seconds", "node_boot_time_seconds")
_OWNER = frozenset(("job", "instance", "namespace", "pod", "ReplicaId"))


class Restarts:
    """What each series knew of its process, and which series await their first sample of a new run."""

    ARRAYS = ("run", "last", "pending")

    def __init__(self) -> None:
        self.signals = Signals()  # start times, and counters that stand in for one
        self.run: Floats = np.empty(0)  # what the signal said at the sample before; NaN: unknown
        self.last: Ints = np.empty(0, np.int64)  # time of the sample before
        self.pending: Flags = np.empty(0, np.bool_)
        self._owner: Ints = np.empty(0, np.int64)
        self._owners: dict[tuple[object, ...], int] = {}
        self._of_host: dict[str, bool | None] = {}  # by name; None: of neither
        self._started: Ints = np.empty(0, np.int64)  # by owner the number of its signal; -1: none
        self._counted: Ints = np.empty(0, np.int64)

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.signals.reserve(size)
        self.run = grown(self.run, size, np.nan)
        self.last = grown(self.last, size, 0)
        self.pending = grown(self.pending, size, False)
        self._owner = grown(self._owner, size, -1)

    def notice(self, window: Window, known: int) -> None:
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""
        if known == 0:
            self._owners = {}
            self._started, self._counted = self._started[:0], self._counted[:0]
        for sid in range(known, window.size):
            labels = window.labels(sid)
            name = labels.name
            if name not in self._of_host:
                self._of_host[name] = None if _OTHER.fullmatch(name) else bool(_HOST.fullmatch(name))
            of_host = self._of_host[name]
            if of_host is None:
                continue
            owner = self._owner[sid] = self._owner_of(labels, of_host)
            if name in _STARTED:
                self._started[owner] = self.signals.add(sid)
            elif self._counted[owner] < 0 and concerned(name) and role_of(name, labels) is Role.PROGRESS:
                self._counted[owner] = self.signals.add(sid)

    def _owner_of(self, labels: Labels, of_host: bool) -> int:
        key = of_host, *[pair for pair in labels.pairs if pair[0] in _OWNER]
        owner = self._owners.setdefault(key, len(self._owners))
        self._started = grown(self._started, owner + 1, -1)
        self._counted = grown(self._counted, owner + 1, -1)
        return owner

    def begin(self, arrived: Columns, batches: Ints) -> None:
        """All that arrived, and which batch each sample came with."""
        self.signals.begin(arrived, batches)

    def end(self) -> None:
        """The step is over."""
        self.signals.end()

    def runs(self, times: Ints, ids: Ints, batches: Ints) -> Floats:
        """What is known of the run of their process as of these samples, `[n]`: NaN where nothing is."""
        owner = self._owner[ids]
        found = np.full(len(ids), np.nan)
        owned = np.flatnonzero(owner >= 0)
        if len(owned) and len(self._started):
            *asked, place = asked_once(owner[owned], times[owned], batches[owned], len(self._started))
            started, counted = self._started[asked[0]], self._counted[asked[0]]
            number = np.where(started >= 0, started, counted)
            found[owned] = self.signals.at(number, asked[1], asked[2])[place]
        return found

    def step(self, ids: Ints, times: Ints, runs: Floats, fell: Flags) -> None:
        """Note which of these series, distinct, are in another run than at their sample before.

        `fell` are counters that begin again.
        """
        self.pending[ids[fell]] = True
        before = self.run[ids]
        moved = np.flatnonzero(runs != before)  # NaN too: what is not known is looked at closer
        if len(moved):
            self._look(ids[moved], times[moved], runs[moved], before[moved])

    def _look(self, ids: Ints, times: Ints, runs: Floats, before: Floats) -> None:
        owner = self._owner[ids]
        owned = np.maximum(owner, 0)
        of_start = (owner >= 0) & (self._started[owned] >= 0) if len(self._started) else owner >= 0
        with np.errstate(invalid="ignore"):
            other = np.where(of_start, np.abs(runs - before) > _DRIFT, runs < before)
        unknown = (owner >= 0) & np.isnan(runs) & np.isnan(before)
        back = unknown & (self.last[ids] > 0) & (times - self.last[ids] >= _GONE_FOR)
        self.pending[ids[other | back]] = True
        self.run[ids] = np.where(np.isnan(runs), before, runs)
        self.last[ids] = times

    def taken(self, ids: Ints) -> Flags:
        """Which of these series, distinct, give their first sample of a new run."""
        found: Flags = self.pending[ids]
        self.pending[ids[found]] = False
        return found

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        self.signals.remap(remap.new_ids, remap.size)
        for name, empty in (("run", np.nan), ("last", 0), ("pending", False)):
            setattr(self, name, remapped(getattr(self, name), remap.new_ids, remap.size, empty))
        self._owner = np.full(remap.size, -1)

    def snapshot(self, size: int) -> State:
        """What must survive a restart of ours, as copies, of the series below id `size`."""
        own = {name: getattr(self, name)[:size].copy() for name in self.ARRAYS}
        return own | {f"signal_{name}": array for name, array in self.signals.snapshot(size).items()}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        signals = {name.removeprefix("signal_"): a for name, a in state.items() if name.startswith("signal_")}
        self.signals.restore(signals, size)
        taken_over(self, self.ARRAYS, state, size)
