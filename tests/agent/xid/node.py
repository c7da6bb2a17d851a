"""A node with three GPUs in virtual time: what the driver's events and the kernel's log would say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from agent.event import Event
from agent.gpu.protocol import Occurrence
from agent.xid.book import Book, Entered
from agent.xid.catalogue import catalogue
from agent.xid.devices import Device, KnownDevices
from agent.xid.kernel_text import KernelText, SxidLine, XidLine
from agent.xid.ledger import Ledger
from agent.xid.settings import XidSettings
from agent.xid.switches import Switches
from agent.xid.telling import Teller
from agent.xid.wall import WallClock
from model.metric import Sample

GPUS = [Device(str(index), f"GPU-{index}") for index in range(3)]
PCI = [f"0000:{0xB0 + index:02x}:00" for index in range(3)]


class FakeDevices(KnownDevices):
    """Three GPUs; a test may take them away."""

    def __init__(self) -> None:
        super().__init__()
        self.known = list(GPUS)
        self.version = "580.95.05"

    def by_pci(self, pci: str) -> Device | None:
        return next(
            (gpu for gpu, place in zip(GPUS, PCI, strict=True) if place == pci and gpu in self.known), None
        )

    def all(self) -> Sequence[Device]:
        return list(self.known)

    def driver(self) -> str:
        return self.version


class Node:
    """A ledger and all around it. `now` is the monotonic clock, `step` what the wall clock is off."""

    def __init__(self, settings: XidSettings | None = None) -> None:
        self.now, self.step = 1000.0, 0.0
        self.events: list[Event] = []
        self.devices = FakeDevices()
        settings = settings or XidSettings.model_validate({})
        table = catalogue(settings.preset, settings.codes)
        self.wall = WallClock(lambda: 1_700_000_000.0 + self.now + self.step, lambda: self.now)
        self.book = Book("n1", table, self.devices, self.wall)
        teller = Teller("n1", {"job": "fleetowl-agent", "instance": "n1"}, table)
        self.ledger = Ledger(
            "n1",
            self.book,
            self.devices,
            self._tell,
            lambda: self.now,
        )
        self.switches = Switches(
            "n1",
            lambda line, error, count: self.events.append(
                teller.sxid(
                    line,
                    error,
                    (self.switches.counter(error, count), self.switches.time(error)),
                    int(self.now * 1000),
                )
            ),
            self.wall,
            lambda: self.now,
        )
        self.teller = teller
        self._text = KernelText()

    def _tell(self, device: Device, line: XidLine, entered: Entered, untold: int) -> None:
        event = self.teller.xid(self.book, device, line, entered, untold, int(self.now * 1000))
        self.events.append(event)

    def kernel(self, line: str) -> None:
        """The kernel writes a line."""
        for finding in self._text.findings(line):
            if isinstance(finding, SxidLine):
                self.switches.from_kernel(finding)
            else:
                self.ledger.from_kernel(finding)

    def xid(self, code: int, gpu: int = 0, text: str = "Ch 00000001") -> None:
        """The kernel writes an XID."""
        self.kernel(f"NVRM: Xid (PCI:{PCI[gpu]}): {code}, pid=77, name=python3, {text}")

    def driver(
        self, code: int, gpu: int = 0, wait: bool = False, kind: Literal["xid", "unavailable"] = "xid"
    ) -> float | None:
        """The driver reports an XID, or something else, by an event."""
        occurrence: Occurrence = {
            "say": "event",
            "kind": kind,
            "uuid": f"GPU-{gpu}",
            "code": code,
            "gpu_instance": -1,
            "compute_instance": -1,
        }
        return self.ledger.from_driver(occurrence, wait)

    def series(self) -> dict[str, float]:
        """All series, as text."""
        return spell([*self.ledger.samples(), *self.switches.samples()])

    def counts(self) -> dict[tuple[str, str], float]:
        """Counters that are not 0, by GPU and code."""
        return {
            (sample.labels["gpu"], sample.labels["xid"]): sample.value
            for sample in self.ledger.samples()
            if sample.name == "fleetowl_xid_total" and sample.value
        }

    def verdicts(self, gpu: int = 0) -> dict[str, list[tuple[str, str]]]:
        """Tier and action of each verdict that is not over, by code."""
        found: dict[str, list[tuple[str, str]]] = {}
        for sample in self.ledger.samples():
            labels = sample.labels
            times = sample.name == "fleetowl_xid_last_timestamp_seconds"
            if times and labels["gpu"] == str(gpu) and "cancelled_by" not in labels:
                found.setdefault(labels["xid"], []).append((labels["tier"], labels["action"]))
        return found


def spell(samples: Iterable[Sample]) -> dict[str, float]:
    """Samples as {series as text: value}."""
    spelled = {}
    for sample in samples:
        inner = ",".join(f"{name}={value}" for name, value in sample.labels.items())
        spelled[f"{sample.name}{{{inner}}}"] = sample.value
    return spelled


TO_RESET = "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
TO_REBOOT = "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
TO_NONE = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"


def repeated(node: Node, code: int, gpu: int = 0) -> bool:
    return any(
        f"gpu={gpu}," in name and f"xid={code}}}" in name and "repeated=true" in name
        for name in node.series()
    )
