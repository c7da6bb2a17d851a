"""The processes on the GPUs: their memory, what leaks of it, and which container each is in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.gpu.protocol import Identity
from agent.pods.containers import ContainerNames
from agent.pods.held import Held
from agent.pods.leak import Trend
from agent.pods.owner import Owner, Owners
from agent.pods.process import Facts, facts, shown
from model.labels import Labels
from model.metric import Metric, Sample

_GPU = ("gpu", "uuid")
_PROCESS = ("pid", "process", "pod", "namespace", "container")

METRICS = (
    Metric("fleetowl_gpu_processes", "gauge", "Processes that have memory of this GPU.", _GPU),
    Metric(
        "fleetowl_gpu_process_memory_bytes",
        "gauge",
        "GPU memory of a process; without pid: of those beyond the largest of the node, together.",
        (*_GPU, *_PROCESS),
    ),
    Metric(
        "fleetowl_gpu_process_memory_leak_bytes_per_second",
        "gauge",
        "How fast GPU memory of a process grows without end, else 0; absent in its first 20 minutes.",
        (*_GPU, *_PROCESS),
    ),
    Metric(
        "fleetowl_process_host_memory_bytes",
        "gauge",
        "Host memory that a process on a GPU has to itself, without mapped files.",
        _PROCESS,
    ),
    Metric(
        "fleetowl_process_host_memory_leak_bytes_per_second",
        "gauge",
        "How fast that memory grows without end, else 0; absent in the first 20 minutes.",
        _PROCESS,
    ),
    Metric(
        "fleetowl_gpu_processes_not_shown", "gauge", "Processes on GPUs that have no series of their own."
    ),
    Metric(
        "fleetowl_gpu_processes_unattributed",
        "gauge",
        "Processes on GPUs without a pod, by the reason.",
        ("reason",),
    ),
)

OUTSIDE = "it runs outside Kubernetes"
UNSEEN = "it is not in this procfs: the agent needs the host's (hostPID)"
UNNAMED = "its container is not named on this node and the GPU has not exactly one"

_KEPT = 300.0  # seconds for which a process's trend outlives its last sight
_LEAK = "_leak_bytes_per_second"
_GPU_MEMORY, _HOST_MEMORY = "fleetowl_gpu_process_memory", "fleetowl_process_host_memory"


class Use(NamedTuple):
    """A process on a device, as the driver names it and as procfs and Kubernetes do."""

    identity: Identity
    pid: int
    bytes: int
    name: str
    seen: Facts | None
    owner: Owner | None
    reason: str
    """Why there is no owner."""

    @property
    def uuid(self) -> str:
        """Of the device."""
        return self.identity["uuid"]

    @property
    def key(self) -> tuple[int, int]:
        """Names one process for ever, for pids are used again; -1 where the start is not known."""
        return self.pid, self.seen.started if self.seen is not None else -1

    def labels(self) -> dict[str, str]:
        """Of the process."""
        process = self.seen.comm if self.seen is not None else shown(self.name)
        return {"pid": str(self.pid), "process": process, **(self.owner._asdict() if self.owner else {})}


class ProcessTable:
    """Follows the processes from sweep to sweep. `limit` have series; `timer` gives seconds."""

    def __init__(
        self,
        procfs: Path,
        names: ContainerNames,
        limit: int,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._procfs = procfs
        self._names = names
        self._limit = limit
        self._timer = timer
        self._trends: dict[tuple[str, int, int], tuple[float, Trend]] = {}

    def uses(self, devices: Mapping[str, Held], owners: Owners) -> list[Use]:
        """Who is on which device, the largest first. Reads procfs and the kubelet's log folders."""
        seen: dict[int, Facts | None] = {}
        found = []
        for held in devices.values():
            for pid, (size, name) in _processes(held, devices).items():
                if pid not in seen:
                    seen[pid] = facts(self._procfs, pid)
                owner, reason = self._owner(seen[pid], owners(held.identity["uuid"]))
                found.append(Use(held.identity, pid, size, name, seen[pid], owner, reason))
        return sorted(found, key=lambda use: (-use.bytes, use.pid, use.uuid))

    def samples(self, devices: Mapping[str, Held], uses: Sequence[Use]) -> list[Sample]:
        """The series of these uses."""
        now = self._timer()
        largest, others = uses[: self._limit], uses[self._limit :]
        found = [*_counts(devices, uses, others), *_together(others)]
        for use in largest:
            if use.bytes >= 0:
                labels = {**_device(use.identity), **use.labels()}
                found += self._memory(_GPU_MEMORY, (use.uuid, *use.key), labels, use.bytes, now)
        for use in {use.pid: use for use in reversed(largest)}.values():
            if use.seen is not None:
                found += self._memory(_HOST_MEMORY, ("", *use.key), use.labels(), use.seen.anonymous, now)
        self._trends = {key: kept for key, kept in self._trends.items() if now - kept[0] <= _KEPT}
        return found

    def _owner(self, seen: Facts | None, holders: Sequence[Owner]) -> tuple[Owner | None, str]:
        """The container of a process, or why it is not known."""
        alone = holders[0] if len(holders) == 1 else None
        if seen is None:
            return alone, "" if alone else UNSEEN
        if not seen.where.pod_uid:
            return None, OUTSIDE
        named = self._names.find(seen.where)
        if named is None:
            return alone, "" if alone else UNNAMED
        if not named.container:
            # Only the pod is known; the kubelet may have told the one container of it that has the device.
            mine = [holder for holder in holders if holder[:2] == named[:2]]
            return (mine[0] if len(mine) == 1 else named), ""
        return named, ""

    def _memory(
        self, family: str, key: tuple[str, int, int], labels: Mapping[str, str], size: int, now: float
    ) -> Iterator[Sample]:
        _, trend = self._trends.get(key) or (now, Trend())
        trend.add(now, float(size))
        self._trends[key] = (now, trend)
        named = Labels(labels)
        yield Sample(f"{family}_bytes", named, float(size))
        if trend.rate is not None:
            yield Sample(family + _LEAK, named, trend.rate)


def _processes(held: Held, devices: Mapping[str, Held]) -> dict[int, tuple[int, str]]:
    """Size and name by pid, each process once: it may compute and draw, or be in a MIG instance too."""
    uuid = held.identity["uuid"]
    inside = {
        process["pid"]
        for other in devices.values()
        if other.identity["parent"] == uuid
        for process in other.processes or ()
    }
    found: dict[int, tuple[int, str]] = {}
    for process in held.processes or ():
        pid = process["pid"]
        if pid not in inside:
            found[pid] = max(found.get(pid, (-1, "")), (process["bytes"], process["name"]))
    return found


def _device(identity: Identity) -> dict[str, str]:
    return {"gpu": str(identity["index"]), "uuid": identity["uuid"]}


def _counts(devices: Mapping[str, Held], uses: Iterable[Use], others: Sequence[Use]) -> Iterator[Sample]:
    number = Counter(use.uuid for use in uses)
    for uuid, held in devices.items():
        if held.processes is not None:
            yield Sample("fleetowl_gpu_processes", Labels(_device(held.identity)), float(number[uuid]))
    yield Sample("fleetowl_gpu_processes_not_shown", Labels(), float(len({use.pid for use in others})))
    for reason, count in sorted(Counter(use.reason for use in uses if use.owner is None).items()):
        yield Sample("fleetowl_gpu_processes_unattributed", Labels({"reason": reason}), float(count))


def _together(others: Iterable[Use]) -> Iterator[Sample]:
    sizes: dict[Labels, int] = {}
    for use in others:
        if use.bytes >= 0:
            labels = Labels(_device(use.identity))
            sizes[labels] = sizes.get(labels, 0) + use.bytes
    for labels, size in sizes.items():
        yield Sample(f"{_GPU_MEMORY}_bytes", labels, float(size))
