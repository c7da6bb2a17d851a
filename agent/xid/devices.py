"""Which GPU is at which PCI address: the kernel names addresses, the driver's events UUIDs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from agent.gpu.protocol import Identity
from agent.xid.pci import canonical


class Device(NamedTuple):
    """A GPU as its series name it. One that nobody knows has its address for a number, and no UUID."""

    gpu: str
    uuid: str


class Devices(Protocol):
    """The GPUs of this node, as far as they are known by now.

    One that is lost stays known; one that is known no more was replaced, or is gone for good.
    """

    def by_pci(self, pci: str) -> Device | None:
        """The GPU at an address, in the spelling of agent.xid.pci.canonical."""

    def all(self) -> Sequence[Device]:
        """Every GPU, MIG instances not among them."""

    def driver(self) -> str:
        """The driver's version, empty while it is not known."""


class KnownDevices:
    """Devices from the driver's identities, as they come."""

    def __init__(self) -> None:
        self._by_pci: dict[str, Device] = {}
        self._driver = ""

    def update(self, identities: Iterable[Identity], driver: str) -> None:
        """Take over what a sweep says; an empty version leaves the one that is known."""
        for identity in identities:
            if not identity["parent"]:
                device = Device(str(identity["index"]), identity["uuid"])
                elsewhere = [pci for pci, each in self._by_pci.items() if each.uuid == device.uuid]
                for pci in elsewhere:
                    del self._by_pci[pci]
                self._by_pci[canonical(identity["pci_bus_id"])] = device
        self._driver = driver or self._driver

    def keep(self, uuids: Collection[str]) -> None:
        """Forget the GPUs that are not among these."""
        self._by_pci = {pci: device for pci, device in self._by_pci.items() if device.uuid in uuids}

    def by_pci(self, pci: str) -> Device | None:
        """The GPU at an address."""
        return self._by_pci.get(pci)

    def all(self) -> Sequence[Device]:
        """Every GPU."""
        return list(self._by_pci.values())

    def driver(self) -> str:
        """The driver's version, empty while it is not known."""
        return self._driver
