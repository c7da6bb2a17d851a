"""The NVIDIA GPUs on the PCI bus: what the driver should list, told by somebody else than the driver."""

from __future__ import annotations

import os
from typing import NamedTuple

from model.metric import Metric

METRICS = (
    Metric(
        "fleetowl_gpu_pci_devices",
        "gauge",
        "NVIDIA GPUs on the PCI bus; without virtual functions and what is bound to another driver.",
    ),
)

_NVIDIA = "0x10de"
_CLASSES = ("0x0300", "0x0302")
"""Display and 3D controllers (PCI code and ID assignment specification); an NVSwitch is a bridge, 0x0680."""


class _Slot(NamedTuple):
    gpu: bool
    device: int
    """The inode of the slot's folder: another one is another device in the same slot."""


class PciBus:
    """Reads sysfs, which answers from the kernel's memory: it never wakes a device, nor waits for one."""

    def __init__(self, sysfs: str) -> None:
        self._folder = f"{sysfs}/bus/pci/devices"
        self._slots: dict[str, _Slot] = {}

    def gpus(self) -> list[str] | None:
        """The slots (`0000:17:00.0`) with a GPU for NVIDIA's driver; None if there is no PCI bus to read.

        What is bound to another driver (vfio-pci: a virtual machine has it; nouveau) is not ours to miss.
        """
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return None
        self._slots = {name: self._slot(name) for name in names}
        return [name for name, slot in self._slots.items() if slot.gpu and self._ours(name)]

    def _slot(self, name: str) -> _Slot:
        try:
            device = os.stat(f"{self._folder}/{name}").st_ino
        except OSError:
            return _Slot(False, 0)
        known = self._slots.get(name)
        if known is not None and known.device == device:
            return known
        gpu = self._word(name, "vendor") == _NVIDIA and self._word(name, "class")[:6] in _CLASSES
        return _Slot(gpu and not os.path.lexists(f"{self._folder}/{name}/physfn"), device)

    def _ours(self, name: str) -> bool:
        try:
            driver = os.path.basename(os.readlink(f"{self._folder}/{name}/driver"))
        except OSError:
            return True  # no driver at all, as before it is loaded, or after it has let go of a sick GPU
        return driver == "nvidia"

    def _word(self, name: str, attribute: str) -> str:
        try:
            with open(f"{self._folder}/{name}/{attribute}", encoding="ascii") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError):
            return ""
