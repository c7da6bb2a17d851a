"""Which GPUs there are and were: who is lost, who is back, who hangs; remembered over a restart."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_type_hints

from agent.gpu.protocol import DeviceReport, DeviceState, Identity, Sweep
from model.moment import HOUR, SECOND

log = logging.getLogger("fleetowl.agent")

_VERSION = 1
_FIELDS = get_type_hints(Identity)
_ABSENT = 0.9
"""Seconds between two sweeps without a GPU from before that make it a lost one: a beat of a second, less what
it may be early. A driver that has just been loaded finds them one after another."""
_STORE_EVERY = HOUR  # between writes of when each was last seen
_OBSERVED = HOUR  # that a GPU from before must be missed in this life, at least, to be forgotten


@dataclass(slots=True)
class Device:
    """A GPU, or a MIG instance, as it was last heard of."""

    identity: Identity
    seen: int
    """When it last answered, or was first met, ms."""
    state: DeviceState = "up"
    reason: str = ""
    missed: bool = False
    """It was told to be lost, and not yet to be back."""
    stuck: bool = False
    """It was told to hang, and not yet to answer."""
    answered: float | None = None
    """As `seen`, by a timer that nobody sets; None before it was heard of in this life."""
    absent_since: float | None = None
    """Since when the sweeps have been without it, by that timer."""

    @property
    def whole(self) -> bool:
        """A GPU and no instance of one."""
        return not self.identity["parent"]


class Change(NamedTuple):
    """Something that happened to a device between two sweeps."""

    kind: Literal["lost", "back", "hung", "answers"]
    device: Device
    reason: str
    call: str = ""


def trusted(sweep: Sweep) -> bool:
    """Whether the driver is well enough to be believed when it misses a GPU.

    It need not be well as a whole: one GPU that hangs before it has said who it is makes the driver hung, and
    the others answer all the same.
    """
    if sweep["state"] == "ready":
        return True
    return sweep["state"] != "absent" and any(report["state"] == "up" for report in sweep["devices"])


def believed(sweep: Sweep) -> list[DeviceReport]:
    """All reports, or those that do not say that a GPU is out of order, for the driver may be."""
    if trusted(sweep):
        return sweep["devices"]
    return [report for report in sweep["devices"] if report["state"] not in ("lost", "failing")]


class Presence:
    """Follows the sweeps, and believes of them what `believed` does.

    `timer` gives seconds that never run backwards: a clock that is set must not make a GPU old.
    """

    def __init__(
        self,
        forget_after: int,
        remembered: Iterable[Device] = (),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forget_after = forget_after
        self._timer = timer
        self._began = timer()
        self._identities: dict[str, Identity] = {}
        self.heard: dict[str, DeviceReport] = {}
        """What the last sweep said of each device, as far as it is believed."""
        self.devices: dict[str, Device] = {each.identity["uuid"]: each for each in remembered}

    def update(self, sweep: Sweep, at: int) -> list[Change]:
        """What changed with this sweep, which was at `at` (ms)."""
        self._identities.update((each["uuid"], each) for each in sweep["identities"])
        reports = believed(sweep)
        changes = [change for report in reports for change in self._hear(report, at)]
        self.heard = {each["uuid"]: each for each in reports if each["uuid"] in self.devices}
        if trusted(sweep):
            self._forget(at)
            changes += self._miss(sweep)
        else:
            for device in self.devices.values():
                device.absent_since = None
        self._prune(sweep)
        return changes

    def _prune(self, sweep: Sweep) -> None:
        """The probe says once who a device is: for as long as it reports of it, that is kept."""
        kept = self.devices.keys() | {report["uuid"] for report in sweep["devices"]}
        for uuid in self._identities.keys() - kept:
            del self._identities[uuid]

    def _device(self, report: DeviceReport, at: int) -> Device | None:
        """None of one that has not said who it is, or that was forgotten and is still lost."""
        uuid = report["uuid"]
        device, identity = self.devices.get(uuid), self._identities.get(uuid)
        if identity is None or (device is None and report["state"] == "lost"):
            return device
        if device is None:
            device = self.devices[uuid] = Device(identity, at, answered=self._timer())
        device.identity = identity
        return device

    def _hear(self, report: DeviceReport, at: int) -> Iterator[Change]:
        device = self._device(report, at)
        if device is None:
            return
        device.state, device.reason, device.absent_since = report["state"], report["reason"], None
        if device.state == "lost":
            yield from _lose(device)
        elif device.state == "hung" and not device.stuck:
            device.stuck = True
            yield Change("hung", device, device.reason, report["call"])
        elif device.state == "up":
            device.seen, device.answered = at, self._timer()
            if device.missed:
                yield Change("back", device, "")
            elif device.stuck:
                yield Change("answers", device, "")
            device.missed = device.stuck = False

    def _miss(self, sweep: Sweep) -> Iterator[Change]:
        """Those known from before the probe that it has not met, unless they may still say who they are."""
        there = sum(
            device.whole and uuid in self.heard and device.state != "lost"
            for uuid, device in self.devices.items()
        )
        missed = self._missed()
        unlisted = there == sweep["count"]
        # A new process gets no handle for a GPU that is lost; all that is left is that it is counted.
        nameless = "unmet" in sweep or sweep["state"] == "failing"
        if not unlisted and not (nameless and there + len(missed) == sweep["count"]):
            return
        now = self._timer()
        for device in missed:
            if device.absent_since is None:
                device.absent_since = now
            elif now - device.absent_since >= _ABSENT:
                state, reason = _UNLISTED if unlisted else _unmet(device, sweep)
                if device.state != state:
                    device.state, device.reason = state, reason
                    yield from _lose(device) if state == "lost" else ()

    def _missed(self) -> list[Device]:
        return [device for uuid, device in self.devices.items() if device.whole and uuid not in self.heard]

    def _forget(self, at: int) -> None:
        """Instances that are gone, GPUs with another one in their slot, and what was lost long ago."""
        gone = [each for uuid, each in self.devices.items() if each.state == "lost" or uuid not in self.heard]
        taken = {
            device.identity["pci_bus_id"]
            for uuid, device in self.devices.items()
            if device.whole and device.state != "lost" and uuid in self.heard
        }
        for device in gone:
            uuid, slot = device.identity["uuid"], device.identity["pci_bus_id"]
            if not device.whole:
                del self.devices[uuid]
            elif slot in taken:
                log.info("GPU %s is replaced: another one is in its slot %s", uuid, slot)
                del self.devices[uuid]
            elif device.state == "lost" and self._long_ago(device, at):
                log.info("GPU %s has been lost for long and is missed no more", uuid)
                del self.devices[uuid]

    def _long_ago(self, device: Device, at: int) -> bool:
        now = self._timer()
        if device.answered is not None:
            return (now - device.answered) * SECOND > self._forget_after
        # Its time is another life's, of a clock that may have been set since.
        observed = (now - self._began) * SECOND > min(self._forget_after, _OBSERVED)
        return observed and at - device.seen > self._forget_after


_UNLISTED: tuple[DeviceState, str] = ("lost", "seen before and no longer listed by the driver")


def _unmet(device: Device, sweep: Sweep) -> tuple[DeviceState, str]:
    """What is said of the GPU at its index, else of all that are unmet: not lost if one of them is not."""
    unmet = sweep.get("unmet", [])
    there = [each for each in unmet if each["index"] == device.identity["index"]] or unmet
    lost = bool(there) and all(each["state"] == "lost" for each in there)
    reason = there[0]["reason"] if there else sweep["reason"]
    return "lost" if lost else "failing", f"seen before; {reason}"


def _lose(device: Device) -> Iterator[Change]:
    """Told once, and of GPUs only: an instance is taken away on purpose."""
    if device.whole and not device.missed:
        device.missed = True
        yield Change("lost", device, device.reason)


class LastSeen:
    """The file that holds which GPUs there were. What is wrong with it is said once and costs only memory.

    One that is not `kept` is only read: somebody else writes it.
    """

    def __init__(self, path: Path, node: str, kept: bool = True) -> None:
        self._path = path
        self._node = node
        self._kept = kept
        self._stored: dict[str, int] = {}
        self._writable = True

    def load(self) -> list[Device]:
        """Those of the file; none if there is no file, another node wrote it, or it cannot be read."""
        try:
            found = json.loads(self._path.read_bytes())
            if found["node"] != self._node:
                log.warning("%s is of the node %s: it is not believed", self._path, found["node"])
                return []
            devices = [_device(each) for each in found["gpus"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            log.warning("%s cannot be read (%s): GPUs lost before now are not missed", self._path, error)
            return []
        self._stored = {each.identity["uuid"]: each.seen for each in devices}
        return devices

    def due(self, devices: Mapping[str, Device]) -> bytes | None:
        """What to write, if the file lacks something: a GPU more or less, or when they were last seen."""
        if not self._kept:
            return None
        seen = {uuid: device.seen for uuid, device in devices.items() if device.whole}
        if seen.keys() == self._stored.keys() and all(
            at - self._stored[uuid] < _STORE_EVERY for uuid, at in seen.items()
        ):
            return None
        self._stored = seen
        gpus = [{"seen": at, "identity": devices[uuid].identity} for uuid, at in seen.items()]
        return json.dumps({"version": _VERSION, "node": self._node, "gpus": gpus}, indent=1).encode()

    def write(self, data: bytes) -> None:
        """Replace the file in one step; blocks, so it is for a thread."""
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
            os.replace(beside, self._path)
        except OSError as error:
            if self._writable:
                log.warning("%s cannot be written: %s", self._path, error)
            self._writable = False
        else:
            self._writable = True


def _device(found: Any) -> Device:
    """Raises KeyError or TypeError if that is none."""
    identity, seen = found["identity"], int(found["seen"])
    for name, kind in _FIELDS.items():
        if not isinstance(identity[name], kind):
            raise TypeError(f"{name} is {identity[name]!r}")
    return Device(cast(Identity, identity), seen)
