"""Events of the stub driver reach every set of every process once, and a wait ends when it said it would."""

from __future__ import annotations

import platform
from collections.abc import Callable
from statistics import median
from time import monotonic, sleep
from typing import Any

import pytest

from simulator.nvml.mapping import FUTEX
from simulator.nvml.stub import Stub

MakeStub = Callable[..., Stub]
Ask = Callable[..., Any]

LISTENER = """
n.nvmlInit()
events = n.nvmlEventSetCreate()
for i in range(n.nvmlDeviceGetCount()):
    n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(i), n.nvmlEventTypeXidCriticalError, events)
say("listens")
while True:
    data = n.nvmlEventSetWait(events, 10_000)
    say([n.nvmlDeviceGetIndex(data.device), data.eventType, data.eventData, data.gpuInstanceId])
"""


def test_an_xid_reaches_every_listener_once_and_in_order(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=4)
    stub.gpus[0].xid(13)  # before anybody listens: nobody hears it
    listeners = [ask(stub, LISTENER) for _ in range(2)]
    assert [listener.heard() for listener in listeners] == ["listens"] * 2
    stub.gpus[3].xid(79)
    stub.gpus[1].xid(63, gpu_instance=2)
    for listener in listeners:
        assert listener.heard() == [3, 8, 79, 0xFFFFFFFF]
        assert listener.heard() == [1, 8, 63, 2]


@pytest.mark.skipif(platform.machine() not in FUTEX, reason="here a waiter looks every 50 ms")
def test_a_waiter_is_woken_at_once(nvml_stub: MakeStub, ask: Ask) -> None:
    """Not at its next look: half of the events take less than half of the 50 ms between two."""
    stub = nvml_stub(gpus=1)
    listener = ask(stub, LISTENER)
    assert listener.heard() == "listens"
    took = []
    for _ in range(15):
        sleep(0.003)
        before = monotonic()
        stub.gpus[0].xid(79)
        listener.heard()
        took.append(monotonic() - before)
    assert median(took) < 0.015


def test_a_wait_returns_10_when_nothing_comes(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, stepped=True)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        events = n.nvmlEventSetCreate()
        n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(0), 8, events)
        before = time.monotonic()
        say([code_of(n.nvmlEventSetWait, events, 60), 0.05 < time.monotonic() - before < 2])
        say([code_of(n.nvmlEventSetWait, events, 0), code_of(n.nvmlEventSetFree, events)])
        """,
    )
    assert asker.heard() == [10, True]
    assert asker.heard() == [10, 0]


def test_only_registered_types_on_registered_gpus(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        events = n.nvmlEventSetCreate()
        h = n.nvmlDeviceGetHandleByIndex(1)
        say([n.nvmlDeviceGetSupportedEventTypes(h), code_of(n.nvmlDeviceRegisterEvents, h, 1 << 40, events)])
        n.nvmlDeviceRegisterEvents(h, n.nvmlEventTypeDoubleBitEccError, events)
        wait()
        data = n.nvmlEventSetWait(events, 1000)
        say([n.nvmlDeviceGetIndex(data.device), data.eventType])
        say(code_of(n.nvmlEventSetWait, events, 0))
        """,
    )
    assert asker.heard() == [0x1FF, 3]
    stub.gpus[0].event(2)
    stub.gpus[1].xid(79)
    stub.gpus[1].event(2)
    asker.go()
    assert asker.heard() == [1, 2]
    assert asker.heard() == 10


def test_of_a_flood_the_newest_are_kept(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        events = n.nvmlEventSetCreate()
        n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(0), 8, events)
        say("listens")
        wait()
        heard = []
        while True:
            try:
                heard.append(n.nvmlEventSetWait(events, 0).eventData)
            except n.NVMLError_Timeout:
                break
        say(heard)
        """,
    )
    assert asker.heard() == "listens"
    for code in range(1000):
        stub.gpus[0].xid(code)
    asker.go()
    assert asker.heard() == list(range(1000 - 256, 1000))
