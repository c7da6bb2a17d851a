"""One place in the driver's list: which GPU is there, its MIG instances, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.gpu.probe.calls import Calls, address, text
from agent.gpu.probe.device import Device, DriverGone
from agent.gpu.probe.errors import DRIVER_WIDE, GONE, INVALID_ARGUMENT, LACKING, NOT_FOUND, sentence
from agent.gpu.probe.lane import Lane
from agent.gpu.probe.readers import READERS
from agent.gpu.probe.target import Reader, Target
from agent.gpu.protocol import DeviceReport, Identity

INSTANCE_READERS = tuple(reader for reader in READERS if reader.instances)


class Slot:
    """Asks the GPU at one index, in a lane of its own.

    `known` are the devices that were ever seen; `heard` has a GPU's events listened to; `blocked` tells
    whether another thread is still in an earlier call to this GPU, so that it must not be asked.
    """

    def __init__(
        self,
        index: int,
        nvml: Any,
        known: dict[str, Device],
        readers: tuple[tuple[Reader, ...], tuple[Reader, ...]],
        heard: Callable[[Calls, Any, str], None],
        blocked: Callable[[str], bool],
    ) -> None:
        self.index = index
        self.lane: Lane[list[DeviceReport]] = Lane(f"gpu {index}")
        self.calls = Calls(nvml)
        self.device: Device | None = None
        self.instances: list[Device] = []
        self.trouble = ""
        """Why the GPU does not say who it is."""
        self.gone = False
        """Whether that is because it is gone."""
        self.turn = float("-inf")
        """When the slow readers are due."""
        self._known = known
        self._readers, self._instance_readers = readers
        self._heard = heard
        self._blocked = blocked
        self._settled = False
        self._mig = False
        self._unread = True
        """Whether the slow readers have not been asked since the GPU was found."""
        self._at = 0  # address of the GPU's handle

    @property
    def devices(self) -> list[Device]:
        """The GPU and its instances."""
        return [] if self.device is None else [self.device, *self.instances]

    def renew(self, opened: bool = False) -> None:
        """Find out again who is there; no handle is good any more if the driver was `opened` anew."""
        self._settled = False
        if opened:
            self._at = 0

    def due(self, now: float) -> bool:
        """Whether the slow readers have their turn."""
        return now >= self.turn or self._unread or not self._settled

    def ask(self, now: float, slow: bool | None, listed: bool = True) -> list[DeviceReport]:
        """In the lane: reports of the GPU and its instances. Raises DriverGone.

        `slow` is whether the slow readers are asked too; None: nothing but whether the GPU answers. Unless
        `listed` the index may be another GPU's by now, and only the handle of before is asked.
        """
        try:
            if not listed:
                pass
            elif not self._settled:
                self._settle()
            elif slow:
                self._check()
        except self.calls.NVMLError as error:
            return self._unknown(int(error.value))
        if self.device is None:
            return []
        report = self.device.look() if slow is None else self.device.ask(now, slow)
        self._unread = self._unread and not slow
        if self.device.state != "up":
            self.renew(opened=True)  # its handle may be stale
            return [report, *(each.report(self.device.state, self.device.reason) for each in self.instances)]
        self._heard(self.calls, self.device.target.handle, self.device.uuid)
        return [report, *self._ask_instances(now, slow)]

    def _ask_instances(self, now: float, slow: bool | None) -> list[DeviceReport]:
        if slow is None:
            return [each.report(each.state, each.reason) for each in self.instances]
        reports = [each.ask(now, slow) for each in self.instances]
        if all(each.state == "up" for each in self.instances):
            return reports
        try:
            before = self.instances
            self._find_instances()
        except self.calls.NVMLError:
            self._settled = False
            return reports
        # Those that are still there keep their report, and the new ones get one.
        said = {report["uuid"]: report for report in reports}
        return [said[each.uuid] if each in before else each.ask(now, True) for each in self.instances]

    def _unknown(self, code: int) -> list[DeviceReport]:
        if code in DRIVER_WIDE:
            raise DriverGone(code)
        self._settled = False
        self.trouble = f"GPU {self.index} does not say who it is: {sentence(code)}"
        self.gone = code in GONE
        for each in self.devices:
            each.state, each.reason = "lost" if self.gone else "failing", sentence(code)
        return [each.report(each.state, each.reason) for each in self.devices]

    def _settle(self) -> None:
        handle = self.calls.nvmlDeviceGetHandleByIndex(self.index)
        identity = self._identity(handle)
        self.trouble = ""
        if self._blocked(identity["uuid"]):
            self.device, self.instances = None, []
            return
        if self.device is None or self.device.identity != identity or self._at != address(handle):
            self.device = self._device(identity, Target(self.calls, handle), self._readers)
            self.instances = []
            self._unread = True
        self._at = address(handle)
        self._mig = self._in_mig_mode()
        self.device.target.mig = self._mig
        self._find_instances()
        self._settled = True

    def _check(self) -> None:
        """What can change without an error: the index is another GPU's, MIG was switched or repartitioned."""
        assert self.device is not None
        handle = self.calls.nvmlDeviceGetHandleByIndex(self.index)
        same = address(handle) == self._at and text(self.calls.nvmlDeviceGetUUID(handle)) == self.device.uuid
        if not same or self._in_mig_mode() != self._mig:
            self._settle()
        elif self._mig:
            self._find_instances()

    def _device(self, identity: Identity, target: Target, readers: tuple[Reader, ...]) -> Device:
        known = self._known.get(identity["uuid"])
        if known is None:
            known = self._known[identity["uuid"]] = Device(identity, target, readers)
        else:
            known.found(identity, target)
        return known

    def _identity(self, handle: Any) -> Identity:
        calls = self.calls
        return {
            "uuid": text(calls.nvmlDeviceGetUUID(handle)),
            "index": self.index,
            "pci_bus_id": text(calls.nvmlDeviceGetPciInfo_v3(handle).busId),
            "minor": self._optional(calls.nvmlDeviceGetMinorNumber, handle, -1),
            "name": text(calls.nvmlDeviceGetName(handle)),
            "serial": text(self._optional(calls.nvmlDeviceGetSerial, handle, "")),
            "parent": "",
            "profile": "",
            "gpu_instance": -1,
            "compute_instance": -1,
        }

    def _in_mig_mode(self) -> bool:
        assert self.device is not None
        return bool(self._optional(self.calls.nvmlDeviceGetMigMode, self.device.target.handle, [0, 0])[0])

    def _find_instances(self) -> None:
        found = self._listed_instances() if self._mig else []
        for gone in set(self._uuids(self.instances)) - set(self._uuids(found)):
            self._known.pop(gone, None)  # taken away on purpose, so nothing is lost
        self.instances = found

    @staticmethod
    def _uuids(devices: list[Device]) -> list[str]:
        return [device.uuid for device in devices]

    def _listed_instances(self) -> list[Device]:
        assert self.device is not None
        parent = self.device.target.handle
        found = []
        for number in range(self.calls.nvmlDeviceGetMaxMigDeviceCount(parent)):
            try:
                handle = self.calls.nvmlDeviceGetMigDeviceHandleByIndex(parent, number)
            except self.calls.NVMLError as error:
                if error.value not in (NOT_FOUND, INVALID_ARGUMENT):
                    raise
                continue
            found.append(self._instance(handle, parent))
        return found

    def _instance(self, handle: Any, parent: Any) -> Device:
        assert self.device is not None
        calls = self.calls
        uuid = text(calls.nvmlDeviceGetUUID(handle))
        known = self._known.get(uuid)
        if known in self.instances and known is not None:
            return known  # it goes on with its handle and its samples
        gpu_instance = int(calls.nvmlDeviceGetGpuInstanceId(handle))
        identity: Identity = {
            **self.device.identity,
            "uuid": uuid,
            "parent": self.device.uuid,
            "profile": self._profile(handle),
            "gpu_instance": gpu_instance,
            "compute_instance": int(calls.nvmlDeviceGetComputeInstanceId(handle)),
        }
        return self._device(identity, Target(calls, handle, parent, gpu_instance), self._instance_readers)

    def _profile(self, handle: Any) -> str:
        """`1g.10gb`: the end of the instance's name, or made from its attributes where the name has none."""
        name = text(self._optional(self.calls.nvmlDeviceGetName, handle, ""))
        if " MIG " in name:
            return name.rpartition(" MIG ")[2]
        has = self._optional(self.calls.nvmlDeviceGetAttributes_v2, handle, None)
        return "" if has is None else f"{has.gpuInstanceSliceCount}g.{round(has.memorySizeMB / 1024)}gb"

    def _optional(self, call: Callable[[Any], Any], handle: Any, otherwise: Any) -> Any:
        try:
            return call(handle)
        except self.calls.NVMLError as error:
            if error.value not in LACKING:
                raise
            return otherwise
