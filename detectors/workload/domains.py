"""Whose work a series tells of: the signals of an engine, of all engines of an instance, of a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.arrays import grown
from detectors.workload.roles import Role, Signal
from telemetry.bits import Flags, Ints

_INSTANCE = ("job", "instance", "namespace", "pod", "ReplicaId")
_RANK = ("engine", "dp_rank")
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """The signals of each domain d by their numbers: `numbers[starts[d] : starts[d + 1]]`."""

    starts: Ints
    numbers: Ints

    def of(self, domains: Ints) -> tuple[Ints, Ints]:
        """Of each of these domains the numbers; with each the place of its domain among those asked for."""
        counts = self.starts[domains + 1] - self.starts[domains]
        place = np.repeat(np.arange(len(domains)), counts)
        first = np.cumsum(counts) - counts
        within = np.arange(len(place)) - first[place]
        return place, self.numbers[self.starts[domains][place] + within]


class Domains:
    """For each domain the signals that tell of it.

    An engine of several ranks counts for itself, for its instance and for its pod: the instance is idle when
    all its ranks are, and so is a GPU of that pod.
    """

    def __init__(self) -> None:
        self._told: dict[Signal, dict[tuple[int, int], None]] = {signal: {} for signal in Signal}
        self._sources: dict[Signal, Sources] = {}
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
        for key in keys:
            if key:
                self._told[signal][self._domain(key), number] = None
        self._sources.pop(signal, None)

    def sources(self, signal: Signal) -> Sources:
        """Which series tell of each domain by this signal."""
        found = self._sources.get(signal)
        if found is None or len(found.starts) <= self.count:
            pairs = np.array(list(self._told[signal]), np.int64).reshape(-1, 2)
            pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
            starts = np.searchsorted(pairs[:, 0], np.arange(self.count + 1))
            found = self._sources[signal] = Sources(starts, np.ascontiguousarray(pairs[:, 1]))
        return found

    def told(self, domains: Ints) -> Flags:
        """Whether something tells of these domains, `[n]`."""
        told = np.zeros(len(domains), np.bool_)
        for signal in (Signal.RUNNING, Signal.IN_USE):
            starts = self.sources(signal).starts
            told |= starts[domains + 1] > starts[domains]
        return told

    def _domain(self, key: Key) -> int:
        found = self._domains.get(key)
        if found is not None:
            return found
        domain = self._domains[key] = len(self._domains)
        self.pods = grown(self.pods, domain + 1, -1)
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
