"""Who holds a device by what the driver says; the pods room finds the names that Kubernetes knows them by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from agent.gpu.protocol import Identity, Process
from model.metric import Metric, Sample

FRESH = 10.0
"""Seconds after which a device's processes are no longer believed: the driver hangs or is gone."""
REMEMBERED = 86_400.0
"""Seconds after which a device that is not heard of is forgotten. It may be lost, and still be somebody's."""


class Held(NamedTuple):
    """A GPU or MIG instance and the processes that have memory of it, as of the latest sweep."""

    identity: Identity
    processes: Sequence[Process] | None = None
    """None while the device does not answer."""

    @property
    def place(self) -> tuple[str, int, int, int]:
        """Where it is: of two devices in one place the later one is there."""
        identity = self.identity
        number = identity["minor"] if identity["minor"] >= 0 else identity["index"]
        return identity["parent"], number, identity["gpu_instance"], identity["compute_instance"]


Devices = Callable[[], Mapping[str, Held]]
"""All devices by UUID, those included that do not answer now. Empty while nothing is known."""


class Latest:
    """Remembers what the GPU source last heard of each device; a companion of it without series of its own.

    `fresh` in seconds; `timer` gives seconds that never run backwards.
    """

    def __init__(self, fresh: float = FRESH, timer: Callable[[], float] = time.monotonic) -> None:
        self._fresh = fresh
        self._timer = timer
        self._heard: dict[str, tuple[float, Held]] = {}

    def metrics(self) -> Iterable[Metric]:
        """None."""
        return ()

    def samples(self, processes: Sequence[tuple[Identity, Sequence[Process]]], at: int) -> Iterable[Sample]:
        """Take in a sweep: each device that answered, and its processes."""
        now = self._timer()
        new = {identity["uuid"]: (now, Held(identity, those)) for identity, those in processes}
        if new.keys() - self._heard.keys():
            taken = {held.place for _, held in new.values()}
            self._heard = {uuid: old for uuid, old in self._heard.items() if old[1].place not in taken}
        self._heard.update(new)
        return ()

    def devices(self) -> Mapping[str, Held]:
        """The devices that are remembered, with the processes that are still believed."""
        now = self._timer()
        self._heard = {
            uuid: (when, held) for uuid, (when, held) in self._heard.items() if now - when <= REMEMBERED
        }
        return {
            uuid: held if now - when <= self._fresh else Held(held.identity)
            for uuid, (when, held) in self._heard.items()
        }
