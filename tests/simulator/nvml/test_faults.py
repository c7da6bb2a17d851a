"""Faults of the stub driver: lost and hung GPUs, injected codes, other drivers, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from simulator.nvml.stub import Stub

MakeStub = Callable[..., Stub]
Ask = Callable[..., Any]


def _until(condition: Callable[[], bool]) -> None:
    """Another process is on its way: look every 2 ms, for at most 5 s."""
    end = monotonic() + 5
    while not condition():
        assert monotonic() < end, "it never came"
        sleep(0.002)


READER = """
n.nvmlInit()
handles = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]
while True:
    say([code_of(n.nvmlDeviceGetPowerUsage, h) for h in handles] + [n.nvmlDeviceGetCount()])
    wait()
"""


def test_a_lost_gpu_says_so_while_the_others_answer(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=3)
    asker = ask(stub, READER)
    assert asker.heard() == [0, 0, 0, 3]
    for change, expected in (
        (stub.gpus[1].lose, [0, 15, 0, 3]),
        (stub.gpus[1].vanish, [0, 28, 0, 2]),
        (stub.gpus[1].need_reset, [0, 16, 0, 3]),
        (stub.gpus[1].restore, [0, 0, 0, 3]),
    ):
        change()
        asker.go()
        assert asker.heard() == expected


def test_a_call_hangs_until_it_is_released_and_is_seen_doing_so(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2)
    stub.gpus[1].set(temperature=77)
    stub.gpus[1].hang("nvmlDeviceGetTemperature")
    asker = ask(
        stub,
        """
        import threading
        n.nvmlInit()
        handles = [n.nvmlDeviceGetHandleByIndex(i) for i in range(2)]
        answers = []
        thread = threading.Thread(target=lambda: answers.append(n.nvmlDeviceGetTemperature(handles[1], 0)))
        thread.start()
        say([n.nvmlDeviceGetTemperature(handles[0], 0) > 0, n.nvmlDeviceGetPowerUsage(handles[1]) > 0])
        thread.join()
        say(answers)
        """,
    )
    assert asker.heard() == [True, True]
    _until(lambda: stub.blocked(gpu=1) == 1)
    assert (stub.blocked(gpu=0), stub.blocked_calls()) == (0, ["nvmlDeviceGetTemperature"])
    assert stub.calls("nvmlDeviceGetTemperature", gpu=1) == 1
    stub.gpus[1].release()
    assert asker.heard() == [77]
    assert stub.blocked() == 0


def test_a_hang_ends_by_itself(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, stepped=True)
    stub.gpus[0].hang(seconds=120)
    asker = ask(stub, "n.nvmlInit(); n.nvmlDeviceGetHandleByIndex(0); say('back')")
    _until(lambda: stub.blocked(gpu=0) == 1)
    stub.step(119)
    assert stub.blocked(gpu=0) == 1
    stub.step(2)
    assert asker.heard() == "back"


def test_a_process_killed_in_a_hang_is_not_counted_as_blocked(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    stub.hang("nvmlDeviceGetCount_v2")
    asker = ask(stub, "n.nvmlInit(); n.nvmlDeviceGetCount()")
    _until(lambda: stub.blocked() == 1)
    asker.process.kill()
    _until(lambda: stub.blocked() == 0)


def test_codes_are_returned_where_told(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2)
    asker = ask(stub, READER)
    assert asker.heard() == [0, 0, 2]
    stub.returns("nvmlDeviceGetPowerUsage", 999, gpu=1)
    asker.go()
    assert asker.heard() == [0, 999, 2]
    stub.returns("nvmlDeviceGetPowerUsage", 4)
    stub.returns("nvmlDeviceGetPowerUsage", 0, gpu=1)
    asker.go()
    assert asker.heard() == [4, 4, 2]


def test_no_driver(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    stub.init_returns(9)
    asker = ask(stub, "say(code_of(n.nvmlInit)); wait(); say(code_of(n.nvmlInit))")
    assert asker.heard() == 9
    stub.init_returns(0)
    asker.go()
    assert asker.heard() == 0


def test_after_an_upgrade_only_a_fresh_process_works(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    source = """
    say(code_of(n.nvmlInit)); wait()
    say([code_of(n.nvmlDeviceGetCount), code_of(n.nvmlShutdown), code_of(n.nvmlInit)])
    say(n.nvmlSystemGetDriverVersion())
    """
    old = ask(stub, source)
    assert old.heard() == 0
    stub.upgrade("580.1")
    old.go()
    assert old.heard() == [18, 0, 18]
    fresh = ask(stub, source)
    assert fresh.heard() == 0
    fresh.go()
    assert fresh.heard() == [0, 0, 0]
    assert fresh.heard() == "580.1"


def test_an_old_driver_lacks_functions(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, old=True)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say([code_of(n.nvmlDeviceGetTemperatureV, h, 0), code_of(n.nvmlGpmQueryDeviceSupport, h)])
        say(code_of(n.nvmlDeviceGetTemperature, h, 0))
        say([value.nvmlReturn for value in n.nvmlDeviceGetFieldValues(h, [82, 186, 230])])
        """,
    )
    assert asker.heard() == [13, 13]
    assert asker.heard() == 0
    assert asker.heard() == [0, 3, 3]


def test_any_call_may_be_missing(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, without=["nvmlDeviceGetUUID"])
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say([code_of(n.nvmlDeviceGetUUID, h), code_of(n.nvmlDeviceGetName, h)])
        """,
    )
    assert asker.heard() == [13, 0]


def test_without_a_table_there_is_no_driver(nvml_stub: MakeStub, ask: Ask) -> None:
    asker = ask(nvml_stub(gpus=1), "say(code_of(n.nvmlInit))", FLEETOWL_NVML_STUB="/no/such/table")
    assert asker.heard() == 9


def test_a_slow_call_is_slow_and_answers(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2)
    stub.gpus[1].slow("nvmlDeviceGetPowerUsage", milliseconds=60)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        took = []
        for h in [n.nvmlDeviceGetHandleByIndex(i) for i in range(2)]:
            before = time.monotonic()
            n.nvmlDeviceGetPowerUsage(h)
            took.append(time.monotonic() - before)
        say(took[1] > 0.06 > took[0])
        """,
    )
    assert asker.heard() is True


def test_a_library_that_is_no_nvml(nvml_stub: MakeStub, ask: Ask) -> None:
    asker = ask(nvml_stub(gpus=1, wrong_library=True), "say(code_of(n.nvmlInit))")
    assert asker.heard() == 13


def test_values_that_no_gpu_has(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    stub.bogus(utilization=4294967295, temperature=82505, power=0x7FFFFFF0, energy=0x7FFFFFFFFFFFFFF0)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say([n.nvmlDeviceGetUtilizationRates(h).gpu, n.nvmlDeviceGetTemperature(h, 0)])
        say([n.nvmlDeviceGetPowerUsage(h), n.nvmlDeviceGetTotalEnergyConsumption(h)])
        """,
    )
    assert asker.heard() == [4294967295, 82505]
    assert asker.heard() == [0x7FFFFFF0, 0x7FFFFFFFFFFFFFF0]


def test_an_unknown_name_is_an_error_with_the_nearest(nvml_stub: MakeStub) -> None:
    stub = nvml_stub(gpus=1)
    with pytest.raises(ValueError, match="did you mean temperature"):
        stub.gpus[0].set(temprature=3)
    with pytest.raises(ValueError, match="did you mean nvmlDeviceGetPowerUsage"):
        stub.returns("nvmlDeviceGetPowerUsag", 3)
    with pytest.raises(ValueError, match="did you mean"):
        stub.gpus[0].set(reasons=["hw_thermals"])
    with pytest.raises(ValueError, match="no GPU 1"):
        stub.returns("*", 3, gpu=1)
