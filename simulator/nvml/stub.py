"""The stub driver from the outside: its GPUs, its faults, and what was asked of it.

`with Stub(folder, gpus=8, profile="h100") as stub:` is a machine with eight; `stub.gpus[3].lose()` takes one
away, `stub.environment()` is what a process needs to see it all, `stub.calls()` what it asked.
"""

from __future__ import annotations

import ctypes
import os
import uuid
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from simulator.nvml.build import build
from simulator.nvml.gpu import StubGpu
from simulator.nvml.mapping import TableFile
from simulator.nvml.profile import Load, Profile, read_profile
from simulator.nvml.symbols import CALLS, FIRST_NEWER_FIELD, NEWER, number_of
from simulator.nvml.table import ANY_CALL, FOREVER, MAX_BLOCKED, MAX_EVENTS, MAX_FIELD, MAX_GPUS, UP, Rule
from simulator.nvml.values import apply

VARIABLE = "FLEETOWL_NVML_STUB"
"""Names the control table to the library."""

_BUSES = (0x17, 0x3D, 0x60, 0x70, 0x9D, 0xB3, 0xC4, 0xDD)
"""PCI buses of the GPUs of a machine with eight."""


class Stub:
    """A driver with `gpus` GPUs of a kind, all idle at first (or `load="busy"`). Use as a context.

    `folder` is the caller's, for the control table; the library is compiled into `cache` (default: `folder`),
    about a second once for each content. `without` are calls that this driver does not have; an `old` one is
    without NEWER, and without the newer fields. Identities come from `seed`. With `stepped`, time
    stands until `step`. Raises what `simulator.nvml.build.build` raises.
    """

    def __init__(
        self,
        folder: Path,
        gpus: int = 8,
        profile: str = "h100",
        *,
        load: Load = "idle",
        cache: Path | None = None,
        without: Collection[str] = (),
        old: bool = False,
        wrong_library: bool = False,
        driver: str = "570.86.15",
        stepped: bool = False,
        seed: int = 0,
    ) -> None:
        if not 0 <= gpus <= MAX_GPUS:
            raise ValueError(f"{gpus} GPUs: the stub has 0 to {MAX_GPUS}")
        kind = read_profile(profile)
        self.library = build(cache or folder, {*without, *(NEWER if old else ())}, wrong=wrong_library)
        folder.mkdir(parents=True, exist_ok=True)
        self.seed = seed
        self.table = TableFile(folder / "nvml-table", stepped=stepped)
        self.gpus = [StubGpu(self, slot, kind) for slot in range(gpus)]
        with self.table.writing() as now:
            record = self.table.record
            record.gpu_count, record.cuda, record.pcie_block_ms = gpus, 12080, 20
            for slot in range(gpus):
                self._fill(slot, kind, now)
        self.driver(driver)
        for gpu in self.gpus:
            gpu.unsupported(*kind.without)
            gpu.without_fields([*kind.without_fields, *(range(FIRST_NEWER_FIELD, MAX_FIELD) if old else ())])
            gpu.load(load)

    def _fill(self, slot: int, kind: Profile, now: int) -> None:
        gpu = self.table.record.gpus[slot]
        gpu.name = kind.name.encode()
        gpu.uuid = f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'fleetowl-stub-{self.seed}-{slot}')}".encode()
        gpu.serial = f"16533230{self.seed:02}{slot:03}".encode()
        gpu.vbios = b"96.00.89.00.01"
        gpu.state, gpu.listed, gpu.minor = UP, 1, slot
        gpu.architecture, gpu.brand = kind.architecture, 14
        gpu.compute_major, gpu.compute_minor = kind.compute
        gpu.pci_bus = _BUSES[slot] if slot < len(_BUSES) else 0xE0 + slot
        gpu.pci_device_id, gpu.pci_subsystem_id = kind.pci_device_id, kind.pci_subsystem_id
        gpu.gpm, gpu.link_count = int(kind.gpm), kind.links
        gpu.persistence_mode, gpu.ecc_mode, gpu.ecc_pending = 1, 1, 1
        gpu.event_types, gpu.event_reasons_supported = kind.event_types, kind.event_reasons_supported
        gpu.mig_max = 7 if kind.mig else 0
        # A machine with NVSwitches has a fabric whose set-up is done: 3, with nothing unhealthy.
        gpu.fabric_state, gpu.fabric_health_summary = (3, 1) if kind.gpm else (0, 0)
        for link in range(kind.links):
            gpu.links[link].state, gpu.links[link].version = 1, kind.link_version
        apply(gpu, _limits(kind), now)

    def __enter__(self) -> Stub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what hangs, and of the table. Processes that have it go on with what it said last."""
        if not self.table.closed:
            self.release()
            self.table.close()

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to find this driver."""
        path = os.environ.get("LD_LIBRARY_PATH", "")
        folders = [str(self.library.parent), *filter(None, [path])]
        return {"LD_LIBRARY_PATH": ":".join(folders), VARIABLE: str(self.table.path)}

    def preload(self) -> ctypes.CDLL:
        """Make nvidia-ml-py find this driver in the calling process, which LD_LIBRARY_PATH cannot any more.

        The loader knows a library by its name once it is loaded, so: one variant of the library (`without`)
        in the life of a process, whichever comes first. Another Stub with the same library is taken up when
        nvmlInit is called after as many nvmlShutdown as nvmlInit; an upgrade of the driver is then seen, too.
        """
        os.environ[VARIABLE] = str(self.table.path)
        return ctypes.CDLL(str(self.library), mode=ctypes.RTLD_GLOBAL)

    def driver(self, version: str, *, cuda: int | None = None) -> None:
        """The version that the driver says; CUDA as 12080 for 12.8."""
        with self.table.writing():
            self.table.record.driver = version.encode()
            self.table.record.nvml = f"12.{version}".encode()
            if cuda is not None:
                self.table.record.cuda = cuda

    def init_returns(self, code: int) -> None:
        """Initialising returns this: 9 while no driver is loaded, 18 while its module is older."""
        with self.table.writing():
            self.table.record.init_code = code

    def upgrade(self, version: str) -> None:
        """Replace the driver: every call of a process that loaded the library before returns 18 for good."""
        self.driver(version)
        with self.table.writing():
            self.table.record.generation += 1

    def bogus(self, **values: float) -> None:
        """Put what no GPU has into the answer of every GPU; see StubGpu.bogus."""
        for gpu in self.gpus:
            gpu.bogus(**values)

    def returns(self, call: str, code: int, gpu: int | None = None) -> None:
        """A call (`*`: every one) returns this code, on one GPU or wherever; 0 ends it."""
        self.rule(call, gpu, code=code)

    def hang(self, call: str = "*", *, seconds: float | None = None) -> None:
        """A call does not come back, on whatever GPU, until `seconds` have passed or `release`."""
        self.rule(call, None, hang=FOREVER if seconds is None else seconds)

    def slow(self, call: str = "*", *, milliseconds: int) -> None:
        """A call takes so much longer, on whatever GPU; 0 ends it."""
        self.rule(call, None, latency_ms=milliseconds)

    def rule(
        self,
        call: str,
        gpu: int | None,
        *,
        code: int | None = None,
        latency_ms: int | None = None,
        hang: float | None = None,
    ) -> None:
        """What happens to a call before it is answered; `hang` in seconds from now, or FOREVER."""
        rule = self._rule(call, gpu)
        with self.table.writing() as now:
            if code is not None:
                rule.code = code
            if latency_ms is not None:
                rule.latency_ms = latency_ms
            if hang is not None:
                rule.hang_until = FOREVER if hang == FOREVER else now + int(hang * 1e9)

    def _rule(self, call: str, gpu: int | None) -> Rule:
        row = ANY_CALL if call == "*" else number_of(call)
        return self.table.record.rules[row][self._column(gpu)]  # type: ignore[no-any-return]

    def _column(self, gpu: int | None) -> int:
        if gpu is not None and not 0 <= gpu < len(self.gpus):
            raise ValueError(f"no GPU {gpu}: there are {len(self.gpus)}")
        return 0 if gpu is None else gpu + 1

    def release(self, gpu: int | None = None) -> None:
        """What hangs comes back, what is slow is not any more: on one GPU, or everywhere."""
        columns = range(MAX_GPUS + 1) if gpu is None else [self._column(gpu)]
        with self.table.writing():
            for row in self.table.record.rules:
                for column in columns:
                    if row[column].hang_until or row[column].latency_ms:
                        row[column].hang_until = row[column].latency_ms = 0

    def step(self, seconds: float) -> None:
        """Let time pass, where it is stepped: counters grow, hangs end."""
        if not self.table.record.stepped:
            raise ValueError("this stub runs in real time: make it with stepped=True")
        with self.table.writing():
            self.table.record.clock += int(seconds * 1e9)

    def queue(self, gpu: int, kind: int, data: int, gpu_instance: int, compute_instance: int) -> None:
        """Append an event to the ring, for every set that is registered for it."""
        with self.table.writing():
            record = self.table.record
            event = record.events[record.event_count % MAX_EVENTS]
            event.type, event.data, event.gpu = kind, data, gpu
            event.gpu_instance, event.compute_instance = gpu_instance, compute_instance
            record.event_count += 1

    def calls(self, call: str | None = None, gpu: int | None = None) -> int:
        """How often a call was made (None: all calls), on one GPU or (None) on all of them and on none.

        Counted when it comes in, so a call that hangs is in it.
        """
        rows = range(len(CALLS)) if call is None else [number_of(call)]
        columns = range(MAX_GPUS + 1) if gpu is None else [self._column(gpu)]
        counts = self.table.record.calls
        return sum(counts[row][column] for row in rows for column in columns)

    def blocked(self, gpu: int | None = None) -> int:
        """How many calls sleep or hang now, in processes that are alive: on one GPU, or in all."""
        return len(self.blocked_calls(gpu))

    def blocked_calls(self, gpu: int | None = None) -> list[str]:
        """Names of the calls that sleep or hang now."""
        lines = (self.table.record.blocked[i] for i in range(MAX_BLOCKED))
        return [
            CALLS[line.call]
            for line in lines
            if line.pid and (gpu is None or line.gpu == gpu) and _is_alive(line.pid)
        ]


def _limits(kind: Profile) -> dict[str, int | float]:
    """The values of a GPU that follow from its kind."""
    memory, limits, pcie = kind.memory, kind.limits, kind.pcie
    values: dict[str, int | float] = {
        "memory_total": memory.total,
        "memory_reserved": memory.reserved,
        "bar1_total": memory.bar1,
        "power_limit": limits.power,
        "power_limit_enforced": limits.power,
        "power_limit_default": limits.power,
        "power_limit_min": limits.power_min,
        "power_limit_max": limits.power_max,
        "pcie_generation": pcie.generation,
        "pcie_generation_max": pcie.generation,
        "pcie_width": pcie.width,
        "pcie_width_max": pcie.width,
    }
    values |= {f"temperature_{name}": value for name, value in kind.temperatures}
    values |= {f"histogram_{name}": value for name, value in kind.histogram.items()}
    for name, value in kind.clocks:
        values |= {f"clock_{name}_max": value, f"clock_{name}_application": value}
    return values


def _is_alive(pid: int) -> bool:
    """Neither gone nor a zombie: what a killed process left in the table does not count."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
