"""What the driver reports by itself is said at once, and one GPU's trouble silences no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from agent.gpu.probe.calls import Calls
from agent.gpu.probe.events import Events
from agent.gpu.protocol import Occurrence

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import FakeNvml

WHOLE = 0xFFFFFFFF


class Listener:
    """The thread over a fake driver; its pauses are noted and short."""

    def __init__(self, nvml: FakeNvml) -> None:
        self.nvml = nvml
        self.heard: list[Occurrence] = []
        self.pauses: list[float] = []
        self.events = Events(self.heard.append, self._pause)
        self.events.start(nvml)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        time.sleep(0.001)

    def register(self, *indices: int) -> None:
        """As the lanes do after each reading."""
        for index in indices:
            gpu = self.nvml.gpus[index]
            self.events.register(Calls(self.nvml), gpu, f"GPU-{index}")

    def until(self, condition: Callable[[], object], *indices: int) -> None:
        for _ in range(2000):
            if condition():
                return
            self.register(*indices)
            time.sleep(0.001)
        raise AssertionError("it did not come")


@pytest.fixture
def listener(nvml: FakeNvml) -> Iterator[Listener]:
    listener = Listener(nvml)
    listener.until(lambda: nvml.asked["nvmlEventSetWait_v2"], 0, 1)
    yield listener
    assert listener.events.leave(1.0)


def occurred(nvml: FakeNvml, index: int, kind: int, data: int = 0, instance: int = WHOLE) -> None:
    nvml.occurred.append(
        SimpleNamespace(
            device=nvml.gpus[index],
            eventType=kind,
            eventData=data,
            gpuInstanceId=instance,
            computeInstanceId=instance,
        )
    )
    nvml.wakes.set()


def test_an_xid_is_said_with_its_gpu(listener: Listener, nvml: FakeNvml) -> None:
    occurred(nvml, 1, 0x8, 79)
    listener.until(lambda: listener.heard)
    assert listener.heard == [
        {
            "say": "event",
            "kind": "xid",
            "uuid": "GPU-1",
            "code": 79,
            "gpu_instance": -1,
            "compute_instance": -1,
        }
    ]


@pytest.mark.parametrize(("kind", "said"), [(0x4000, "unavailable"), (0x8000, "recovery"), (0x400, "other")])
def test_the_kinds_of_reports(listener: Listener, nvml: FakeNvml, kind: int, said: str) -> None:
    occurred(nvml, 0, kind, 3, instance=2)
    listener.until(lambda: listener.heard)
    heard = listener.heard[0]
    assert (heard["kind"], heard["gpu_instance"]) == (said, 2)
    assert heard["code"] == (0x400 if said == "other" else 3)


def test_only_what_is_wanted_and_supported_is_registered(nvml: FakeNvml) -> None:
    registered = []
    nvml.gpus[0].answers["nvmlDeviceRegisterEvents"] = lambda types, _set: registered.append(types)
    listener = Listener(nvml)
    listener.until(lambda: registered, 0)
    assert registered == [0xC008]
    listener.events.leave(1.0)


@pytest.mark.parametrize(
    ("call", "answer", "reason"),
    [
        ("nvmlDeviceGetSupportedEventTypes", 0x7, "GPU-0: not supported by this device (NVML 3)"),
        ("nvmlDeviceRegisterEvents", 4, "GPU-0: not permitted (NVML 4)"),
    ],
)
def test_a_gpu_whose_events_cannot_be_heard(nvml: FakeNvml, call: str, answer: int, reason: str) -> None:
    error = type(nvml).NVMLError(answer)
    nvml.gpus[0].answers[call] = error if call.endswith("RegisterEvents") else answer
    listener = Listener(nvml)
    listener.until(lambda: nvml.asked["nvmlEventSetWait_v2"], 0, 1)
    assert listener.events.reason == reason
    listener.events.leave(1.0)


def test_no_event_set_is_said_and_tried_again_ever_more_seldom(nvml: FakeNvml) -> None:
    nvml.errors["nvmlEventSetCreate"] = 3
    listener = Listener(nvml)
    listener.until(lambda: len(listener.pauses) >= 7)
    assert listener.events.reason == "nvmlEventSetCreate: not supported by this device (NVML 3)"
    assert listener.pauses[:7] == [2, 4, 8, 16, 30, 30, 30]
    nvml.errors.clear()
    listener.until(lambda: nvml.asked["nvmlEventSetWait_v2"] > 1, 0)
    assert listener.events.reason == ""
    listener.events.leave(1.0)


def test_a_lost_gpu_does_not_silence_the_others(listener: Listener, nvml: FakeNvml) -> None:
    """Each wait on its set fails at once; so there is a new set, where only those register that answer."""
    nvml.wait_error = 15
    nvml.wakes.set()
    listener.until(lambda: listener.pauses)
    assert nvml.asked["nvmlEventSetWait_v2"] < 100, "it does not spin"
    nvml.wait_error = 10
    nvml.wakes.clear()
    occurred(nvml, 1, 0x8, 31)
    listener.until(lambda: listener.heard, 1)
    assert listener.heard[0]["uuid"] == "GPU-1"


def test_nothing_is_waited_for_before_a_gpu_has_registered(nvml: FakeNvml) -> None:
    listener = Listener(nvml)
    listener.until(lambda: nvml.asked["nvmlEventSetCreate"])
    assert nvml.asked["nvmlEventSetWait_v2"] == 0
    listener.events.leave(1.0)


def test_a_gpu_with_another_handle_is_registered_again(listener: Listener, nvml: FakeNvml) -> None:
    listener.register(0, 0)
    assert nvml.gpus[0].asked["nvmlDeviceRegisterEvents"] == 1
    again = type(nvml.gpus[0])(0)
    listener.events.register(Calls(nvml), again, "GPU-0")
    assert again.asked["nvmlDeviceRegisterEvents"] == 1


def test_a_set_is_not_freed_under_a_registration(listener: Listener, nvml: FakeNvml) -> None:
    gpu = nvml.gpus[0]
    again = type(gpu)(0)
    event = again.hang("nvmlDeviceRegisterEvents")
    thread = threading.Thread(
        target=listener.events.register, args=(Calls(nvml), again, "GPU-0"), daemon=True
    )
    thread.start()
    listener.until(lambda: again.asked["nvmlDeviceRegisterEvents"])
    nvml.wait_error = 999
    nvml.wakes.set()
    listener.until(lambda: listener.pauses)
    assert nvml.asked["nvmlEventSetFree"] == 0
    event.set()
    thread.join(5)
    nvml.wait_error = 10
    nvml.wakes.clear()
    listener.until(lambda: nvml.asked["nvmlEventSetCreate"] > 1, 1)
