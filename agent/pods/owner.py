"""Who has a GPU: what the pods room tells to whoever labels series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Owner(NamedTuple):
    """A container that was given a device, by the names that Kubernetes knows it by."""

    pod: str
    namespace: str
    container: str


Owners = Callable[[str], Sequence[Owner]]
"""The owners of a device by its UUID (`GPU-...`, `MIG-...`), sorted: several where it is shared, or none."""
