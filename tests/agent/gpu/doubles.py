"""Stand-ins for the probe: what it would say, built by hand, and one that says it without a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agent.event import Event
from agent.gpu.client import Condition
from agent.gpu.protocol import DeviceReport, DriverState, Identity, Sweep
from agent.reading import Reading


def identity(index: int, **changes: Any) -> Identity:
    """GPU number `index` of a node of H200s."""
    found: Identity = {
        "uuid": f"GPU-{index}",
        "index": index,
        "pci_bus_id": f"00000000:{0x17 + index:02X}:00.0",
        "minor": index,
        "name": "NVIDIA H200",
        "serial": f"165{index}",
        "parent": "",
        "profile": "",
        "gpu_instance": -1,
        "compute_instance": -1,
    }
    return {**found, **changes}  # type: ignore[typeddict-item]


def instance(index: int, number: int, compute: int = 0, profile: str = "1g.18gb") -> Identity:
    """A MIG instance of GPU `index`."""
    return identity(
        index,
        uuid=f"MIG-{index}-{number}-{compute}",
        parent=f"GPU-{index}",
        profile=profile,
        gpu_instance=number,
        compute_instance=compute,
    )


def report(uuid: str, **changes: Any) -> DeviceReport:
    """A device that is well."""
    found: DeviceReport = {
        "uuid": uuid,
        "state": "up",
        "reason": "",
        "call": "",
        "seconds": 0.0,
        "values": {"DCGM_FI_DEV_GPU_UTIL": 90.0, "DCGM_FI_DEV_GPU_TEMP": 61.0},
        "parts": [],
        "processes": [],
        "refused": {},
    }
    if changes.get("state", "up") not in ("up", "failing"):
        found["values"] = {}
    return {**found, **changes}  # type: ignore[typeddict-item]


def sweep(*reports: DeviceReport, **changes: Any) -> Sweep:
    """A driver that is well and has these devices."""
    whole = [each for each in reports if each["uuid"].startswith("GPU-") and each["state"] != "lost"]
    found: Sweep = {
        "say": "sweep",
        "number": 1,
        "state": "ready",
        "reason": "",
        "call": "",
        "seconds": 0.0,
        "driver": "580.105.08",
        "nvml": "13.580.105.08",
        "count": len(whole),
        "identities": [identity(int(each["uuid"][4:])) for each in whole],
        "devices": list(reports),
        "events": "",
    }
    return {**found, **changes}  # type: ignore[typeddict-item]


def well(count: int = 2, **changes: Any) -> Sweep:
    """A driver with so many GPUs, all well."""
    return sweep(*(report(f"GPU-{index}") for index in range(count)), **changes)


def out(state: DriverState, reason: str = "", call: str = "", seconds: float = 0.0) -> Sweep:
    """A driver that has nothing to say of GPUs."""
    return sweep(state=state, reason=reason, call=call, seconds=seconds, count=-1, driver="")


class FakeProbe:
    """Answers with `answers`, one after another, the last one for ever."""

    def __init__(self, *answers: Sweep | Condition) -> None:
        self.answers: list[Sweep | Condition] = [*answers] or [well()]
        self.restarts: Counter[str] = Counter()
        self.pid: int | None = None
        self.condition = Condition("waiting", "the probe starts")
        self.asked = 0
        self.closed = False

    async def sweep(self, deadline: float, patience: float) -> Sweep | None:
        """The next answer."""
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Condition):
            self.condition = answer
            return None
        return answer

    async def close(self) -> None:
        """Remember that it was."""
        self.closed = True


def flat(reading: Reading) -> dict[str, float]:
    """What /metrics shows, by the spelling of each series."""
    assert reading.exported is not None
    spelled = {str(labels): value for labels, value in zip(reading.exported, reading.values, strict=True)}
    assert len(spelled) == len(reading.values), "a series is there twice"
    return spelled


def family(reading: Reading, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The series of one family: their labels without its name, and their values."""
    assert reading.exported is not None
    return {
        labels.without("__name__").pairs: value
        for labels, value in zip(reading.exported, reading.values, strict=True)
        if labels.name == name
    }


def state_of(reading: Reading) -> tuple[str, str]:
    """The driver's state and reason."""
    ((labels, _),) = family(reading, "fleetowl_gpu_status").items()
    found = dict(labels)
    return found["state"], found.get("reason", "")


def by_gpu(reading: Reading, name: str) -> dict[str, float]:
    """The values of a family by the GPU's index."""
    return {dict(labels)["gpu"]: value for labels, value in family(reading, name).items()}


def told(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Type and GPU of each event."""
    return [(event.type, event.labels.get("gpu", "")) for event in events]


def plain(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels to compare with."""
    return dict(labels)
