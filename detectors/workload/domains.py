"""Whose work a series tells of: the signals of an engine, of all engines of an instance, of a GPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from detectors.arrays import grown
from detectors.workload.roles import Role, Signal
from telemetry.bits import Flags, Ints

_INSTANCE = ("job", "instance", "namespace", "pod", "ReplicaId")
_RANK = ("engine", "dp_rank")
Key = tuple[str, ...]


class Domains:
    """For each domain the numbers of its signals, by signal `[domains, most]`, -1 = none.

    An engine of several ranks counts for itself, for its instance and for its pod: the instance is idle when
    all its ranks are, and so is a GPU of that pod.
    """

    def __init__(self) -> None:
        self.sources: dict[Signal, Ints] = {signal: np.full((0, 1), -1) for signal in Signal}
        self.pods: Ints = np.full(0, -1)  # by domain of a GPU that of the engines in its pod
        self._domains: dict[Key, int] = {}

    def of(self, labels: Mapping[str, str], role: Role) -> int:
        """The domain of a series with a role."""
        if role < Role.GPU:
            return self._domain(_engine(labels))
        domain, pod = self._domain(_gpu(labels)), _pod(labels)
        if pod:
            self.pods[domain] = self._domain(pod)
        return domain

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._domains)

    def add(self, signal: Signal, number: int, labels: Mapping[str, str]) -> None:
        """This series tells of the domains that its labels name."""
        keys = (
            [_gpu(labels)] if signal is Signal.IN_USE else [_engine(labels), _instance(labels), _pod(labels)]
        )
        for key in dict.fromkeys(key for key in keys if key):
            self._add(signal, self._domain(key), number)

    def told(self, domains: Ints) -> Flags:
        """Whether something tells of these domains, `[n]`."""
        running, in_use = self.sources[Signal.RUNNING], self.sources[Signal.IN_USE]
        most = np.maximum(running[domains].max(axis=1), in_use[domains].max(axis=1))
        told: Flags = most >= 0
        return told

    def _add(self, signal: Signal, domain: int, number: int) -> None:
        table = self.sources[signal]
        free = np.flatnonzero(table[domain] < 0)
        if number in table[domain]:
            return
        if not len(free):
            table = self.sources[signal] = np.pad(table, ((0, 0), (0, 1)), constant_values=-1)
            free = np.array([table.shape[1] - 1])
        table[domain, free[0]] = number

    def _domain(self, key: Key) -> int:
        found = self._domains.get(key)
        if found is not None:
            return found
        domain = self._domains[key] = len(self._domains)
        self.pods = grown(self.pods, domain + 1, -1)
        for signal, table in self.sources.items():
            if domain >= len(table):
                more = max(16, len(table))
                self.sources[signal] = np.pad(table, ((0, more), (0, 0)), constant_values=-1)
        return domain


def _instance(labels: Mapping[str, str]) -> Key:
    return ("instance", *[labels.get(name, "") for name in _INSTANCE])


def _engine(labels: Mapping[str, str]) -> Key:
    rank = [value for name in _RANK if (value := labels.get(name, ""))]
    return ("engine", *_instance(labels)[1:], *rank) if rank else _instance(labels)


def _gpu(labels: Mapping[str, str]) -> Key:
    for name in ("UUID", "uuid", "gpu_uuid"):
        if uuid := labels.get(name, ""):
            return "gpu", uuid
    host = (
        labels.get("Hostname") or labels.get("hostname") or labels.get("node") or labels.get("instance", "")
    )
    return "gpu", host, labels.get("gpu", "")


def _pod(labels: Mapping[str, str]) -> Key:
    pod = labels.get("exported_pod") or labels.get("pod")
    space = labels.get("exported_namespace") or labels.get("namespace", "")
    return ("pod", space, pod) if pod else ()
