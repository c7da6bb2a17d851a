"""A driver made of plain Python: what each GPU answers to each call, and which calls hang."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from agent.gpu.probe.sweep import Options, Probe
from agent.gpu.protocol import Occurrence, Sweep


class NVMLError(Exception):
    """As pynvml's: `value` is NVML's return code."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


class FakeGpu:
    """What one GPU answers: a value, a function of the further arguments, or an NVMLError to raise.

    What is not there is not supported. `hangs` are calls that return when their event is set.
    """

    def __init__(self, index: int, uuid: str = "") -> None:
        self.error = 0
        self.asked: Counter[str] = Counter()
        self.hangs: dict[str, threading.Event] = {}
        self.instances: list[FakeGpu] = []
        self.answers: dict[str, Any] = {
            "nvmlDeviceGetUUID": uuid or f"GPU-{index}",
            "nvmlDeviceGetPciInfo_v3": SimpleNamespace(busId=f"00000000:{index:02X}:00.0".encode()),
            "nvmlDeviceGetMinorNumber": index,
            "nvmlDeviceGetName": b"NVIDIA H200",
            "nvmlDeviceGetSerial": f"serial {index}",
            "nvmlDeviceGetMigMode": lambda: [int(bool(self.instances)), 0],
            "nvmlDeviceGetMaxMigDeviceCount": 7,
            "nvmlDeviceGetTemperature": lambda sensor: 61,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=90, memory=40),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(
                used=70_000 << 20, free=(10_000 << 20) + 5, reserved=600 << 20
            ),
            "nvmlDeviceGetPowerUsage": 350_500,
            "nvmlDeviceGetTotalEnergyConsumption": 123_456_789,
            "nvmlDeviceGetSupportedEventTypes": 0xC00F,
            "nvmlDeviceRegisterEvents": None,
        }
        self.fields: dict[int, tuple[str, float]] = {}
        """Field number: member of the union, value."""

    def answer(self, call: str, *arguments: Any) -> Any:
        self.asked[call] += 1
        if call in self.hangs:
            self.hangs[call].wait()
        if self.error:
            raise NVMLError(self.error)
        found = self.answers.get(call, NVMLError(3))
        found = found(*arguments) if callable(found) and not isinstance(found, SimpleNamespace) else found
        if isinstance(found, NVMLError):
            raise found
        return found

    def hang(self, call: str) -> threading.Event:
        """The call hangs until the event is set."""
        event = self.hangs[call] = threading.Event()
        return event


_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


class FakeNvml:
    """The part of pynvml that the probe calls. A call `nvmlDeviceX(gpu, ...)` is answered by the GPU."""

    NVMLError = NVMLError
    c_nvmlGpmMetricsGet_t = SimpleNamespace

    def __init__(self, count: int = 2) -> None:
        self.gpus = [FakeGpu(index) for index in range(count)]
        self.errors: dict[str, int] = {}
        self.hangs: dict[str, threading.Event] = {}
        self.asked: Counter[str] = Counter()
        self.lacks: set[str] = set()
        self.occurred: list[Any] = []
        self.wait_error = 10
        self.wakes = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml") or name in self.lacks:
            raise AttributeError(name)
        return lambda *arguments: self._called(name, *arguments)

    def _called(self, name: str, *arguments: Any) -> Any:
        self.asked[name] += 1
        if name in self.hangs:
            self.hangs[name].wait()
        if name in self.errors:
            raise NVMLError(self.errors[name])
        own = getattr(type(self), f"_{name}", None)
        if own is not None:
            return own(self, *arguments)
        return arguments[0].answer(name, *arguments[1:])

    def _nvmlInit(self) -> None:
        pass

    def _nvmlShutdown(self) -> None:
        pass

    def _nvmlSystemGetDriverVersion(self) -> bytes:
        return b"580.105.08"

    def _nvmlSystemGetNVMLVersion(self) -> str:
        return "12.580.105.08"

    def _nvmlSystemGetProcessName(self, pid: int) -> bytes:
        if pid == 404:
            raise NVMLError(6)
        return f"process {pid}".encode()

    def _nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def _nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        gpu = self.gpus[index]
        if gpu.error:
            raise NVMLError(gpu.error)
        if "nvmlDeviceGetHandleByIndex" in gpu.hangs:
            gpu.hangs["nvmlDeviceGetHandleByIndex"].wait()
        return gpu

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: FakeGpu, number: int) -> FakeGpu:
        if number >= len(gpu.instances):
            raise NVMLError(6)
        return gpu.instances[number]

    def _nvmlDeviceGetFieldValues(self, gpu: FakeGpu, fields: list[tuple[int, int]]) -> list[Any]:
        if gpu.error:
            raise NVMLError(gpu.error)
        found = []
        for field, _ in fields:
            member, value = gpu.fields.get(field, ("", 0.0))
            found.append(
                SimpleNamespace(
                    nvmlReturn=0 if member else 3,
                    valueType=_MEMBERS.index(member) if member else 0,
                    value=SimpleNamespace(**{member or "dVal": value}),
                )
            )
        return found

    def _nvmlEventSetCreate(self) -> object:
        return object()

    def _nvmlEventSetFree(self, _set: object) -> None:
        pass

    def _nvmlEventSetWait_v2(self, _set: object, _milliseconds: int) -> Any:
        self.wakes.wait(0.01)
        if self.occurred:
            return self.occurred.pop(0)
        raise NVMLError(self.wait_error)


def instance(number: int, name: str = "NVIDIA H200 MIG 1g.18gb") -> FakeGpu:
    """A MIG instance."""
    gpu = FakeGpu(number, f"MIG-{number}")
    gpu.answers = {
        "nvmlDeviceGetUUID": f"MIG-{number}",
        "nvmlDeviceGetName": name,
        "nvmlDeviceGetGpuInstanceId": 7 + number,
        "nvmlDeviceGetComputeInstanceId": 0,
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=1 << 30, free=1 << 30, reserved=0),
        "nvmlDeviceGetAttributes_v2": SimpleNamespace(gpuInstanceSliceCount=2, memorySizeMB=35_840),
    }
    return gpu


class Bench:
    """A probe over a fake driver, with a clock that the test sets."""

    def __init__(self, nvml: FakeNvml, **options: Any) -> None:
        self.nvml = nvml
        self.now = 1000.0
        self.events: list[Occurrence] = []
        self.load: Callable[[], Any] = lambda: nvml
        self.probe = Probe(Options(**options), self.events.append, lambda: self.load(), self.time)
        self._number = 0
        self._runs_since: float | None = None

    def time(self) -> float:
        return self.now + (time.perf_counter() - self._runs_since if self._runs_since is not None else 0.0)

    def runs(self) -> None:
        """From now on the clock runs."""
        self._runs_since = time.perf_counter()

    def sweep(self, deadline: float = 0.2, do: Literal["sweep", "look"] = "sweep") -> Sweep:
        self._number += 1
        return self.probe.sweep({"do": do, "number": self._number, "deadline": deadline})

    def states(self, deadline: float = 0.2) -> list[tuple[str, str]]:
        return [(device["state"], device["reason"]) for device in self.sweep(deadline)["devices"]]

    def close(self) -> None:
        for event in [*self.nvml.hangs.values(), *(e for g in self.nvml.gpus for e in g.hangs.values())]:
            event.set()
        self.nvml.wakes.set()
        self.probe.release()


@pytest.fixture
def nvml() -> FakeNvml:
    """A driver with two GPUs."""
    return FakeNvml()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    """Probes that let go at the end of the test."""
    made: list[Bench] = []

    def build(nvml: FakeNvml, **options: Any) -> Bench:
        made.append(Bench(nvml, **options))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


@pytest.fixture
def bench(nvml: FakeNvml, make: Callable[..., Bench]) -> Bench:
    """A probe over the driver with two GPUs."""
    return make(nvml)
