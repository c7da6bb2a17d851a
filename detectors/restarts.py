"""Restarts: from which sample on a series is about another run of its process or host.

A process tells when it started; where it does not, a counter of its work that fell tells as much, and so does
any counter for itself. What a host or a GPU is about does not restart with its exporter: hosts tell when they
booted. A process of which neither is known is taken for another one after five minutes without a sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped, taken_over
from detectors.contract import Columns, State
from detectors.eligible import Kind, kind_of
from detectors.workload.roles import Role, concerned, role_of
from detectors.workload.signals import Falls, Signals, asked_once
from detectors.workload.watch import part
from model.labels import Labels
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

JUDGED, PLAIN = 1, 2
"""Bits of what awaits its first sample of a new run: a series as it is judged, and as it is."""
GONE_FOR = 300_000  # ms: Prometheus' look-back
_DRIFT = 5.0  # s: a boot time follows the clock, which is set
_HOST = re.compile(r"node_.*")
_OTHER = re.compile(r"DCGM_.*|kube_.*|fleetowl_.*|scrape_.*|up")
_STARTED = ("process_start_time_seconds", "node_boot_time_seconds")
_OWNER = frozenset(("job", "instance", "namespace", "pod", "ReplicaId"))


class Restarts:
    """What each series knew of its process, and which series await their first sample of a new run."""

    ARRAYS = ("run", "last", "pending")

    def __init__(self) -> None:
        self.signals = Signals()  # start times, and how often counters fell that stand in for one
        self.falls = Falls()
        self.run: Floats = np.empty(0)  # what the signal said at the sample before; NaN: unknown
        self.last: Ints = np.empty(0, np.int64)  # time of the sample before
        self.pending: NDArray[np.uint8] = np.empty(0, np.uint8)  # JUDGED, PLAIN: see passes
        self._owner: Ints = np.empty(0, np.int64)
        self._owners: dict[tuple[object, ...], int] = {}
        self._before: dict[tuple[object, ...], float] = {}  # by owner falls counted before a renumbering
        self._of_host: dict[str, bool | None] = {}  # by name; None: of neither
        self._started: Ints = np.empty(0, np.int64)  # by owner the number of its signal; -1: none
        self._counted: Ints = np.empty(0, np.int64)
        self._steady: Floats = np.empty(0)
        self._silent: Flags = np.empty(0, np.bool_)
        self._places: Ints = np.empty(0, np.int64)

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.signals.reserve(size)
        self.run = grown(self.run, size, np.nan)
        self.last = grown(self.last, size, 0)
        self.pending = grown(self.pending, size, 0)
        self._owner = grown(self._owner, size, -1)

    def notice(self, window: Window, known: int, names: Sequence[str]) -> None:
        """Look at the series from id `known` on, of these metrics: they are new; from 0 all are looked at."""
        if known == 0:
            self._owners = {}
            self._started, self._counted = self._started[:0], self._counted[:0]
        for sid, name in enumerate(names, known):
            if name not in self._of_host:
                self._of_host[name] = None if _OTHER.fullmatch(name) else bool(_HOST.fullmatch(name))
            of_host = self._of_host[name]
            if of_host is None:
                continue
            labels = window.labels(sid)
            key = of_host, *[pair for pair in labels.pairs if pair[0] in _OWNER]
            owner = self._owner[sid] = self._owner_of(key)
            if name in _STARTED:
                self._started[owner] = self.signals.add(sid)
            elif self._counted[owner] < 0 and _counts_work(name, window.type_of(name), labels):
                self._counted[owner] = self.signals.add(sid)
                # It may stand in for one that is gone: then it goes on where that one ended.
                self.falls.add(int(self._counted[owner]), self._before.get(key, 0.0))

    def _owner_of(self, key: tuple[object, ...]) -> int:
        found = self._owners.get(key)
        if found is not None:
            return found
        owner = self._owners[key] = len(self._owners)
        self._started = grown(self._started, owner + 1, -1)
        self._counted = grown(self._counted, owner + 1, -1)
        return owner

    def begin(self, arrived: Columns, batches: Ints) -> None:
        """All that arrived, and which batch each sample came with."""
        self.signals.begin(arrived, batches)
        self.signals.replace(*self.falls.count(*self.signals.events))
        number = np.where(self._started >= 0, self._started, self._counted)
        self._silent = number < 0
        self._steady = np.full(len(number), np.nan)
        self._steady[~self._silent] = self.signals.steady()[number[~self._silent]]

    def end(self) -> None:
        """The step is over."""
        self.signals.end()

    def step(self, times: Ints, ids: Ints, places: Ints, ends: Ints) -> None:
        """Note which of these series, distinct, are in another run than at their sample before.

        `places` are those of the samples in all that arrived, whose batches end at `ends`.
        """
        from detectors.passes import moved

        if len(self._places) < len(ids):
            self._places = np.empty(len(ids), np.int64)
        count = moved(
            times, ids, self._owner, self._steady, self._silent, self.run, self.last, self.pending,
            self._places,
        )  # fmt: skip
        if count:
            found = self._places[:count]
            batches = np.searchsorted(ends, places[found], "right")
            self._look(ids[found], times[found], batches)

    def _look(self, ids: Ints, times: Ints, batches: Ints) -> None:
        """Closer, at series that have an owner."""
        owner, before = self._owner[ids], self.run[ids]
        runs = self._runs(owner, times, batches)
        of_start = self._started[owner] >= 0
        with np.errstate(invalid="ignore"):
            other = np.abs(runs - before) > np.where(of_start, _DRIFT, 0.5)
        unknown = np.isnan(runs) & np.isnan(before)
        back = unknown & (self.last[ids] > 0) & (times - self.last[ids] >= GONE_FOR)
        self.pending[ids[other | back]] = JUDGED | PLAIN
        self.run[ids] = np.where(np.isnan(runs), before, runs)
        self.last[ids] = times

    def _runs(self, owner: Ints, times: Ints, batches: Ints) -> Floats:
        """What is known of the run of their process as of these samples, `[n]`: NaN where nothing is."""
        *asked, place = asked_once(owner, times, batches, len(self._started))
        started, counted = self._started[asked[0]], self._counted[asked[0]]
        number = np.where(started >= 0, started, counted)
        return self.signals.at(number, asked[1], asked[2])[place]

    def taken(self, ids: Ints, kind: int) -> Flags:
        """Which of these series, distinct, give the first sample of a new run, by `kind`: JUDGED or PLAIN."""
        found: Flags = (self.pending[ids] & kind) != 0
        if found.any():
            self.pending[ids[found]] &= np.uint8(~kind & 0xFF)
        return found

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        counted = {key: int(self._counted[owner]) for key, owner in self._owners.items()}
        self._before = {key: self.falls.fallen[at] for key, at in counted.items() if at >= 0}
        self.falls.remap(self.signals.remap(remap.new_ids, remap.size))
        for name, empty in (("run", np.nan), ("last", 0), ("pending", 0)):
            setattr(self, name, remapped(getattr(self, name), remap.new_ids, remap.size, empty))
        self._owner = np.full(remap.size, -1)

    def snapshot(self, size: int) -> State:
        """What must survive a restart of ours, as copies, of the series below id `size`."""
        own = {name: getattr(self, name)[:size].copy() for name in self.ARRAYS}
        signals = {f"signal_{name}": array for name, array in self.signals.snapshot(size).items()}
        return own | signals | {f"falls_{name}": array for name, array in self.falls.snapshot().items()}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot; `notice(window, 0)` must follow. Raises KeyError or ValueError."""
        self.falls.restore(part("falls_", state))
        self.signals.restore(part("signal_", state), size)
        taken_over(self, self.ARRAYS, state, size)


def _counts_work(name: str, metric_type: str, labels: Labels) -> bool:
    """Whether a series is a counter of what its process gets done: it falls when that begins anew."""
    if not concerned(name) or role_of(name, labels) is not Role.PROGRESS:
        return False
    return kind_of(name, metric_type) is Kind.COUNTER
