"""Which GPUs there are and were: who is lost, who is back, who hangs; remembered over a restart."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from agent.gpu.protocol import DeviceReport, DeviceState, Identity, Sweep

log = logging.getLogger("fleetowl.agent")

_VERSION = 1
_STORE_EVERY = 3_600_000  # ms between writes of when each was last seen


@dataclass(slots=True)
class Device:
    """A GPU, or a MIG instance, as it was last heard of."""

    identity: Identity
    seen: int
    """When it last answered, or was first met, ms."""
    state: DeviceState = "up"
    reason: str = ""
    absences: int = field(default=0, repr=False)

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


class Presence:
    """Follows the sweeps. Only a driver that is ready is believed when it says that a GPU is gone."""

    def __init__(self, forget_after: int, remembered: Iterable[Device] = ()) -> None:
        self._forget_after = forget_after
        self._identities: dict[str, Identity] = {}
        self.devices: dict[str, Device] = {each.identity["uuid"]: each for each in remembered}

    def update(self, sweep: Sweep, at: int) -> list[Change]:
        """What changed with this sweep, which was at `at` (ms)."""
        self._identities.update((each["uuid"], each) for each in sweep["identities"])
        if sweep["state"] != "ready":
            return []
        changes = [change for report in sweep["devices"] for change in self._hear(report, at)]
        changes += self._miss(sweep)
        self._forget(sweep, at)
        return changes

    def _device(self, report: DeviceReport, at: int) -> Device | None:
        """None of one that has not said who it is, or that was forgotten and is still lost."""
        uuid = report["uuid"]
        device, identity = self.devices.get(uuid), self._identities.get(uuid)
        if identity is None or (device is None and report["state"] == "lost"):
            return device
        if device is None:
            device = self.devices[uuid] = Device(identity, at)
        device.identity = identity
        return device

    def _hear(self, report: DeviceReport, at: int) -> Iterator[Change]:
        device = self._device(report, at)
        if device is None:
            return
        before, after, reason = device.state, report["state"], report["reason"]
        device.state, device.reason, device.absences = after, reason, 0
        if after == "up":
            device.seen = at
        if after == before or not device.whole:
            return
        if after == "lost":
            yield Change("lost", device, reason)
        elif after == "hung":
            yield Change("hung", device, reason, report["call"])
        elif after == "up" and before == "lost":
            yield Change("back", device, reason)
        elif after == "up" and before == "hung":
            yield Change("answers", device, reason)

    def _miss(self, sweep: Sweep) -> Iterator[Change]:
        """Those known from before that the driver does not list, once it has said who all of its GPUs are."""
        heard = {report["uuid"]: report["state"] for report in sweep["devices"]}
        whole = [uuid for uuid, device in self.devices.items() if device.whole]
        if sum(heard.get(uuid, "lost") != "lost" for uuid in whole) != sweep["count"]:
            return
        for uuid in whole:
            device = self.devices[uuid]
            if uuid in heard or device.state == "lost":
                continue
            device.absences += 1
            if device.absences > 1:  # a driver that has just been loaded finds them one after another
                device.state, device.reason = "lost", "seen before and no longer listed by the driver"
                yield Change("lost", device, device.reason)

    def _forget(self, sweep: Sweep, at: int) -> None:
        """Instances that are gone, GPUs with another one in their slot, and what was lost long ago."""
        heard = {report["uuid"] for report in sweep["devices"]}
        taken = {
            device.identity["pci_bus_id"]
            for device in self.devices.values()
            if device.whole and device.state != "lost"
        }
        for uuid, device in list(self.devices.items()):
            gone = device.state == "lost" or uuid not in heard
            if not device.whole:
                if gone:
                    del self.devices[uuid]
            elif device.state == "lost" and device.identity["pci_bus_id"] in taken:
                slot = device.identity["pci_bus_id"]
                log.info("GPU %s is replaced: another one is in its slot %s", uuid, slot)
                del self.devices[uuid]
            elif device.state == "lost" and at - device.seen > self._forget_after:
                log.info("GPU %s has been lost for long and is missed no more", uuid)
                del self.devices[uuid]


class LastSeen:
    """The file that holds which GPUs there were. What is wrong with it is said once and costs only memory."""

    def __init__(self, path: Path, node: str) -> None:
        self._path = path
        self._node = node
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
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): GPUs lost before now are not missed", self._path, error)
            return []
        self._stored = {each.identity["uuid"]: each.seen for each in devices}
        return devices

    def due(self, devices: Mapping[str, Device]) -> bytes | None:
        """What to write, if the file lacks something: a GPU more or less, or when they were last seen."""
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
    for name, kind in Identity.__annotations__.items():
        wanted = int if kind in (int, "int") else str
        if not isinstance(identity[name], wanted):
            raise TypeError(f"{name} is {identity[name]!r}")
    return Device(cast(Identity, identity), seen)
