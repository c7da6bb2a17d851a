"""One GPU of the stub driver, as a test speaks to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from model.settings import did_you_mean, parse_size
from simulator.nvml import table as layout
from simulator.nvml.profile import Load, Profile
from simulator.nvml.symbols import number_of
from simulator.nvml.table import FOREVER, LOST, MAX_INSTANCES, MAX_PROCESSES, RESET_REQUIRED, UP
from simulator.nvml.values import ACTIVITY, apply, apply_bogus, set_link, set_rate

if TYPE_CHECKING:
    from simulator.nvml.stub import Stub

_KINDS = {"compute": 0, "graphics": 1, "mps": 2}
_WHOLE = 0xFFFFFFFF
"""GPU and compute instance of what is on a whole GPU."""

XID_EVENT = 0x8
"""nvmlEventTypeXidCriticalError."""


_Process = tuple[int, int, int, int, int, bytes]
"""PID, kind, bytes, GPU instance, compute instance, name: as the table has it."""


def check_mig(profile: Profile, parts: Sequence[str]) -> None:
    """Raises ValueError for what a GPU of this kind cannot be divided into."""
    known = profile.mig
    for name in parts:
        if name not in known:
            hint = did_you_mean(name, known, "profiles") if known else "this GPU has no MIG"
            raise ValueError(f"no such MIG profile: {name!r} ({hint})")
    if len(parts) > MAX_INSTANCES or sum(known[name][0] for name in parts) > MAX_INSTANCES:
        raise ValueError(f"{', '.join(parts)}: more than the {MAX_INSTANCES} slices of a GPU")


class StubGpu:
    """A GPU that the stub driver lists. Whatever is changed holds at once, in every process."""

    def __init__(self, stub: Stub, slot: int, profile: Profile) -> None:
        self._stub, self.slot, self.profile = stub, slot, profile

    @property
    def uuid(self) -> str:
        """As the driver says it: `GPU-...`."""
        return str(self._record.uuid.decode())

    @property
    def pci_bus_id(self) -> str:
        """As the driver says it: `00000000:17:00.0`."""
        gpu = self._record
        return f"{gpu.pci_domain:08X}:{gpu.pci_bus:02X}:{gpu.pci_device:02X}.0"

    @property
    def state(self) -> int:
        """0, or the code that its calls return: 15 lost, 16 reset required."""
        return int(self._record.state)

    @property
    def mig_uuids(self) -> list[str]:
        """Of the MIG devices, in order."""
        return [self._record.instances[i].uuid.decode() for i in range(self._record.instance_count)]

    @property
    def _record(self) -> layout.Gpu:
        return self._stub.table.record.gpus[self.slot]  # type: ignore[no-any-return]

    def set(self, **values: Any) -> None:
        """Change values together, in natural units; `simulator.nvml.values.apply` says which and how."""
        with self._stub.table.writing() as now:
            apply(self._record, values, now)

    def bogus(self, **values: float) -> None:
        """Put what no GPU has straight into the driver's answer; see `simulator.nvml.values.apply_bogus`."""
        with self._stub.table.writing() as now:
            for name, value in values.items():
                apply_bogus(self._record, name, value, now)

    def load(self, load: Load) -> None:
        """Be idle or busy as the profile describes it."""
        with self._stub.table.writing() as now:
            quiet = {f"{name}_activity": 0.0 for name in ACTIVITY}
            quiet |= {f"{name}_rate": 0.0 for name in ("pcie_tx_bytes", "pcie_rx_bytes")}
            quiet |= {f"nvlink_{name}_rate": 0.0 for name in ("tx_bytes", "rx_bytes")}
            apply(self._record, quiet | getattr(self.profile, load), now)

    def link(self, link: int, **values: Any) -> None:
        """Change one NVLink: `state` 0 or 1, `crc_flit_rate=20`, `replay=3` and so on."""
        if not 0 <= link < self._record.link_count:
            raise ValueError(f"GPU {self.slot} has {self._record.link_count} NVLinks, no link {link}")
        with self._stub.table.writing() as now:
            set_link(self._record.links[link], values, now)

    def xid(self, code: int, *, gpu_instance: int = _WHOLE, compute_instance: int = _WHOLE) -> None:
        """Queue the event of an XID for every process that listens."""
        self.event(XID_EVENT, code, gpu_instance=gpu_instance, compute_instance=compute_instance)

    def event(
        self, kind: int, data: int = 0, *, gpu_instance: int = _WHOLE, compute_instance: int = _WHOLE
    ) -> None:
        """Queue an event of any type (nvmlEventType*)."""
        self._stub.queue(self.slot, kind, data, gpu_instance, compute_instance)

    def lose(self) -> None:
        """Every call on it returns 15 (GPU is lost), it is still counted."""
        self._be(LOST, listed=True)

    def need_reset(self) -> None:
        """Every call on it returns 16 (reset required), except who it is."""
        self._be(RESET_REQUIRED, listed=True)

    def vanish(self) -> None:
        """It is no longer listed, and calls on handles from before return 28 (GPU not found)."""
        self._be(LOST, listed=False)

    def restore(self) -> None:
        """Be there again, as before."""
        self._be(UP, listed=True)

    def _be(self, state: int, *, listed: bool) -> None:
        with self._stub.table.writing():
            self._record.state, self._record.listed = state, int(listed)

    def hang(self, call: str = "*", *, seconds: float | None = None) -> None:
        """A call on it (`*`: every one) does not come back, until `seconds` have passed or `release`."""
        self._stub.rule(call, self.slot, hang=FOREVER if seconds is None else seconds)

    def slow(self, call: str = "*", *, milliseconds: int) -> None:
        """A call on it takes so much longer; 0 ends it."""
        self._stub.rule(call, self.slot, latency_ms=milliseconds)

    def release(self) -> None:
        """What hangs on it comes back, what is slow is not any more."""
        self._stub.release(gpu=self.slot)

    def returns(self, call: str, code: int) -> None:
        """A call on it returns this code instead of an answer; 0 ends it."""
        self._stub.returns(call, code, gpu=self.slot)

    def without_fields(self, fields: Iterable[int], code: int = 3) -> None:
        """Field numbers (NVML_FI_*) that return this code instead of a value; 0 ends it."""
        with self._stub.table.writing():
            for field in fields:
                self._record.field_code[field] = code

    def mig(self, profiles: Sequence[str], *, pending: bool | None = None) -> None:
        """Be divided into these MIG devices, for example `["1g.10gb", "1g.10gb"]`; none: MIG is off.

        Handles of MIG devices from before are invalid, its processes are gone. `pending` is the
        mode after a reset, if another.
        Raises ValueError for what this GPU cannot be divided into.
        """
        check_mig(self.profile, profiles)
        with self._stub.table.writing() as now:
            gpu = self._record
            gpu.mig_mode = int(bool(profiles))
            gpu.mig_pending = gpu.mig_mode if pending is None else int(pending)
            gpu.mig_epoch += 1
            gpu.process_count = 0
            gpu.instance_count = len(profiles)
            for index, name in enumerate(profiles):
                self._fill_instance(index, name, now)

    def _fill_instance(self, index: int, name: str, now: int) -> None:
        slices, multiprocessors, gib = self.profile.mig[name]
        seed = f"fleetowl-stub-{self._stub.seed}-{self.slot}-{self._record.mig_epoch}-{index}"
        instance = self._record.instances[index]
        instance.uuid = f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, seed)}".encode()
        instance.profile = name.encode()
        instance.gpu_instance, instance.compute_instance = index + 7, 0
        instance.slices, instance.multiprocessors = slices, multiprocessors
        instance.memory_total = int(gib * 2**30)
        instance.memory_reserved, instance.memory_used = 0, 12 << 20
        for counter in instance.activity:
            set_rate(counter, 0.0, now)

    def instance(self, index: int, **values: Any) -> None:
        """Change one MIG device: `memory_used`, or `<name>_activity` in percent."""
        instance = self._instance(index)
        with self._stub.table.writing() as now:
            for name, value in values.items():
                activity = name.removesuffix("_activity")
                if name == "memory_used":
                    instance.memory_used = parse_size(value)
                elif activity != name and activity in ACTIVITY:
                    set_rate(instance.activity[ACTIVITY.index(activity)], float(value), now)
                else:
                    raise ValueError(
                        f"a MIG device has no value {name!r} (it has memory_used and <name>_activity)"
                    )

    def processes(
        self,
        processes: Sequence[tuple[int, int]],
        *,
        kind: str = "compute",
        mig: int | None = None,
        name: str = "",
        keep: bool = False,
    ) -> None:
        """Have these processes, as (pid, bytes of memory), instead of those of the kind on the same device.

        Without a `name` the driver says what /proc says. Bytes of 2^64-1 are "not available". With `keep`
        they are added to those that there are. Raises ValueError for more than the stub keeps.
        """
        if kind not in _KINDS:
            raise ValueError(f"no such kind of process: {kind!r} (there are {', '.join(_KINDS)})")
        where = (_WHOLE, _WHOLE)
        if mig is not None:
            instance = self._instance(mig)
            where = (instance.gpu_instance, instance.compute_instance)
        kept = [
            process
            for process in self._processes()
            if keep or process[1] != _KINDS[kind] or process[3:5] != where
        ]
        new = [(pid, _KINDS[kind], size, *where, name.encode()[:63]) for pid, size in processes]
        self._run(kept + new)

    def _instance(self, index: int) -> layout.Instance:
        if not 0 <= index < self._record.instance_count:
            raise ValueError(f"GPU {self.slot} has {self._record.instance_count} MIG devices, no {index}")
        return self._record.instances[index]  # type: ignore[no-any-return]

    def clear_processes(self) -> None:
        """Have none, of no kind and on no part."""
        self._run([])

    @property
    def first_process(self) -> tuple[int, str] | None:
        """PID and name of a process that has memory of it."""
        for pid, _, _, _, _, name in self._processes():
            return pid, name.decode()
        return None

    def _processes(self) -> list[_Process]:
        gpu = self._record
        return [
            (p.pid, p.kind, p.bytes, p.gpu_instance, p.compute_instance, p.name)
            for p in gpu.processes[: gpu.process_count]
        ]

    def _run(self, processes: list[_Process]) -> None:
        if len(processes) > MAX_PROCESSES:
            raise ValueError(f"{len(processes)} processes: the stub keeps {MAX_PROCESSES}")
        with self._stub.table.writing():
            for index, values in enumerate(processes):
                self._record.processes[index] = layout.Process(*values)
            self._record.process_count = len(processes)

    def unsupported(self, *calls: str) -> None:
        """Calls that return Not Supported on it, as on GPUs that lack what they ask for."""
        for call in calls:
            number_of(call)
            self.returns(call, 3)
