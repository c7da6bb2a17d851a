"""Hears of XIDs from the driver's events and from the kernel's log, and counts each once.

A counter begins at 0 when the agent does. What the kernel's log holds from before is history: it has a last
time and no count. An XID at an address where no GPU is known is counted under the address, without a UUID,
until the GPU is known, which then takes the count over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.gpu.protocol import Occurrence
from agent.xid.book import Book, Entered
from agent.xid.catalogue import MAX_CODE
from agent.xid.devices import Device, Devices
from agent.xid.kernel_text import FallenOff, Finding, GpuAt, XidLine
from agent.xid.pairing import Origin, Pairing
from model.labels import Labels
from model.metric import Metric, Sample

METRICS = (
    Metric(
        "fleetowl_xid_sightings_total",
        "counter",
        "Tellings of XIDs, by who told: the driver's event, the kernel's log, its plain words.",
        ("node", "source"),
    ),
)

FALLEN_OFF = 79

PATIENCE = 0.25
"""Seconds that a driver's event waits for the kernel's line, which says more; well within a second."""

TELL_EVERY = 1.0
"""Seconds between events of one code on one GPU; the counter has them all."""


class Told(Protocol):
    """Hears of what is to be told at once."""

    def __call__(self, device: Device, line: XidLine, entered: Entered, untold: int) -> None:
        """`untold` are occurrences of the same since the last telling."""


@dataclass(slots=True, eq=False)
class _Held:
    due: float
    device: Device
    code: int


class Ledger:
    """The XIDs of this node. Time is monotonic, so a step of the wall clock moves nothing."""

    def __init__(
        self, node: str, book: Book, devices: Devices, tell: Told, timer: Callable[[], float]
    ) -> None:
        self._node, self._book, self._devices = node, book, devices
        self._tell, self._timer = tell, timer
        self._uuids: dict[str, str] = {}
        self._held: list[_Held] = []
        self._pairing = Pairing()
        self._sightings: dict[Origin, int] = {"driver": 0, "kernel": 0, "words": 0}

    def from_driver(self, occurrence: Occurrence, wait: bool) -> float | None:
        """An event of the driver. With `wait` it waits for the kernel's line: `settle` in so many seconds."""
        code = occurrence["code"]
        if occurrence["kind"] != "xid" or not 0 < code <= MAX_CODE:
            return None
        now, device = self._timer(), self._by_uuid(occurrence["uuid"])
        self._sightings["driver"] += 1
        if not self._pairing.is_new((device, code), "driver", now):
            return None
        if not wait:
            self._count(device, XidLine("", code))
            return None
        self._held.append(_Held(now + PATIENCE, device, code))
        return PATIENCE

    def settle(self) -> None:
        """Count what has waited long enough for the kernel's line."""
        now = self._timer()
        due = [held for held in self._held if held.due <= now]
        self._held = [held for held in self._held if held.due > now]
        for held in due:
            self._count(held.device, XidLine("", held.code))

    def from_kernel(self, finding: Finding) -> None:
        """Something new in the kernel's log."""
        line = self._line(finding)
        if line is None:
            return
        origin: Origin = "words" if isinstance(finding, FallenOff) else "kernel"
        device, now = self._at(line.pci), self._timer()
        self._sightings[origin] += line.times
        new = sum(self._pairing.is_new((device, line.code), origin, now) for _ in range(line.times))
        new += self._let_go(device, line.code, line.times)
        if new:
            self._count(device, line, new)
        elif origin == "kernel":
            entered = self._book.refine(device, line.code, line.text, now)
            if entered is not None:
                self._tell(device, line, entered, 0)

    def from_history(self, finding: Finding, at: float) -> None:
        """Something of this boot that was in the kernel's log when the agent began, from `at` (monotonic)."""
        line = self._line(finding)
        if line is not None:
            self._book.remember(self._at(line.pci), line.code, line.text, min(at, self._timer()))

    def set_recovery(self, uuid: str, action: int) -> None:
        """The driver's own verdict on a GPU (field 230), which goes before the catalogue."""
        self._book.set_recovery(self._by_uuid(uuid), action, self._timer())

    def last(self, uuid: str) -> int:
        """The code that a GPU had last, 0 if it had none; as DCGM_FI_DEV_XID_ERRORS."""
        return self._book.last(self._by_uuid(uuid))

    def recent(self, uuid: str, now: int) -> Mapping[int, int]:
        """How often each code came within the last five minutes; as DCGM_EXP_XID_ERRORS_COUNT.

        The wall clock `now` is not looked at: it may step.
        """
        return self._book.recent(self._by_uuid(uuid), self._timer())

    def samples(self) -> Iterator[Sample]:
        """Every series."""
        self._adopt()
        self._pairing.tidy(self._timer())
        yield from self._book.samples()
        for source, number in self._sightings.items():
            labels = Labels({"node": self._node, "source": source})
            yield Sample("fleetowl_xid_sightings_total", labels, float(number))

    def _line(self, finding: Finding) -> XidLine | None:
        """The finding as an XID; a name at an address is only noted, an error of a switch is none of ours."""
        if isinstance(finding, GpuAt):
            self._uuids[finding.pci] = finding.uuid
        if isinstance(finding, FallenOff):
            return XidLine(finding.pci, FALLEN_OFF, text="GPU has fallen off the bus", times=finding.times)
        return finding if isinstance(finding, XidLine) and 0 < finding.code <= MAX_CODE else None

    def _let_go(self, device: Device, code: int, most: int) -> int:
        """Takes back what waits for this line; how many."""
        waiting = [held for held in self._held if (held.device, held.code) == (device, code)][:most]
        self._held = [held for held in self._held if held not in waiting]
        return len(waiting)

    def _count(self, device: Device, line: XidLine, times: int = 1) -> None:
        now = self._timer()
        entered = self._book.enter(device, line.code, line.text, now, times)
        kept = entered.record
        kept.untold += times
        if kept.told is None or now - kept.told >= TELL_EVERY:
            untold, kept.told, kept.untold = kept.untold, now, 0
            self._tell(device, line, entered, untold)

    def _at(self, pci: str) -> Device:
        device = self._devices.by_pci(pci)
        if device is not None:
            return device
        uuid = self._uuids.get(pci, "")
        return self._by_uuid(uuid, pci) if uuid else Device(pci, "")

    def _by_uuid(self, uuid: str, pci: str = "") -> Device:
        found = next((device for device in self._devices.all() if device.uuid == uuid), None)
        return found or Device(pci, uuid)

    def _adopt(self) -> None:
        """Give what was counted under an address, or another number, to the GPU that it was."""
        known = set(self._devices.all())
        for device in self._book.devices():
            if device not in known:
                found = self._by_uuid(device.uuid, device.gpu) if device.uuid else self._at(device.gpu)
                if found != device:
                    self._book.rename(device, found)
