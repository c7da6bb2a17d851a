"""Who holds a device by what the driver says; the pods room finds the names that Kubernetes knows them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.gpu.protocol import Identity, Process


class Held(NamedTuple):
    """A GPU or MIG instance and the processes that have memory of it, as of the latest sweep."""

    identity: Identity
    processes: Sequence[Process] = ()


Devices = Callable[[], Mapping[str, Held]]
"""All devices by UUID, those included whose processes are not known. Empty while the driver is silent."""
