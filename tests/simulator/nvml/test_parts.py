"""MIG devices, processes, NVLinks, GPM and counters of the stub driver."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from simulator.nvml.stub import Stub

MakeStub = Callable[..., Stub]
Ask = Callable[..., Any]

MIG = """
n.nvmlInit()
h = n.nvmlDeviceGetHandleByIndex(0)
def parts():
    found = []
    for i in range(n.nvmlDeviceGetMaxMigDeviceCount(h)):
        try:
            found.append(n.nvmlDeviceGetMigDeviceHandleByIndex(h, i))
        except n.NVMLError_NotFound:
            pass
    return found
"""


def test_mig_is_enabled_and_disabled_under_way(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    asker = ask(
        stub,
        MIG
        + """
say([n.nvmlDeviceGetMigMode(h), len(parts())]); wait()
say([n.nvmlDeviceGetMigMode(h), [n.nvmlDeviceGetUUID(p) for p in parts()]])
first, second = parts()
say([n.nvmlDeviceGetName(second), n.nvmlDeviceGetIndex(second), n.nvmlDeviceIsMigDeviceHandle(second).value])
say([n.nvmlDeviceGetGpuInstanceId(second), n.nvmlDeviceGetComputeInstanceId(second)])
say([n.nvmlDeviceGetMemoryInfo(second).total >> 20, n.nvmlDeviceGetAttributes(second).gpuInstanceSliceCount])
parent = n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(second)
say(n.nvmlDeviceGetUUID(parent) == n.nvmlDeviceGetUUID(h))
say([code_of(n.nvmlDeviceGetTemperature, second, 0), code_of(n.nvmlDeviceGetUtilizationRates, h)])
wait()
say([n.nvmlDeviceGetMigMode(h), len(parts()), code_of(n.nvmlDeviceGetName, second)])
wait()
say([code_of(n.nvmlDeviceGetName, second), code_of(n.nvmlDeviceGetName, parts()[1])])
""",
    )
    assert asker.heard() == [[0, 0], 0]
    stub.gpus[0].mig(["1g.10gb", "2g.20gb"])
    asker.go()
    assert asker.heard() == [[1, 1], stub.gpus[0].mig_uuids]
    assert asker.heard() == ["NVIDIA H100 80GB HBM3 MIG 2g.20gb", 1, 1]
    assert asker.heard() == [8, 0]
    assert asker.heard() == [int(19.5 * 1024), 2]
    assert asker.heard() is True
    assert asker.heard() == [3, 3]
    stub.gpus[0].processes([(11, 100)], mig=0)
    stub.gpus[0].mig([])
    assert stub.gpus[0].first_process is None
    asker.go()
    assert asker.heard() == [[0, 0], 0, 2]
    stub.gpus[0].mig(["1g.10gb", "1g.10gb"])
    asker.go()
    assert asker.heard() == [2, 0]  # a handle from before is no handle of the new part


def test_what_a_gpu_cannot_be_divided_into(nvml_stub: MakeStub) -> None:
    stub = nvml_stub(gpus=1)
    with pytest.raises(ValueError, match=r"did you mean 1g\.10gb"):
        stub.gpus[0].mig(["1g.10g"])
    with pytest.raises(ValueError, match="more than the 7 slices"):
        stub.gpus[0].mig(["4g.40gb", "4g.40gb"])
    with pytest.raises(ValueError, match="this GPU has no MIG"):
        nvml_stub(gpus=1, profile="l4").gpus[0].mig(["1g.10gb"])


def test_processes_of_a_gpu_and_of_its_parts(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2)
    stub.gpus[0].processes([(os.getpid(), 5 << 30), (4_000_000_000, 2**64 - 1)])
    stub.gpus[0].processes([(7, 1)], kind="mps", name="/usr/bin/nvidia-cuda-mps-server")
    stub.gpus[1].mig(["1g.10gb", "1g.10gb"])
    stub.gpus[1].processes([(11, 100)], mig=0)
    stub.gpus[1].processes([(12, 200)], mig=1)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        first, second = (n.nvmlDeviceGetHandleByIndex(i) for i in range(2))
        listed = n.nvmlDeviceGetComputeRunningProcesses(first)
        say([[p.pid, p.usedGpuMemory] for p in listed])
        say([p.pid for p in n.nvmlDeviceGetMPSComputeRunningProcesses(first)])
        say(len(n.nvmlDeviceGetGraphicsRunningProcesses(first)))
        say([[p.pid, p.gpuInstanceId] for p in n.nvmlDeviceGetComputeRunningProcesses(second)])
        part = n.nvmlDeviceGetMigDeviceHandleByIndex(second, 1)
        say([p.pid for p in n.nvmlDeviceGetComputeRunningProcesses(part)])
        say([n.nvmlSystemGetProcessName(7), "python" in n.nvmlSystemGetProcessName(listed[0].pid)])
        say(code_of(n.nvmlSystemGetProcessName, 4_000_000_000))
        """,
    )
    assert asker.heard() == [[os.getpid(), 5 << 30], [4_000_000_000, None]]
    assert asker.heard() == [7]
    assert asker.heard() == 0
    assert asker.heard() == [[11, 7], [12, 8]]
    assert asker.heard() == [12]
    assert asker.heard() == ["/usr/bin/nvidia-cuda-mps-server", True]
    assert asker.heard() == 6


def test_links(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, stepped=True)
    stub.gpus[0].set(nvlink_tx_bytes_rate=18 * 1024.0, nvlink_rx_bytes_rate=0)
    stub.gpus[0].link(5, state=0, crc_flit=3, replay_rate=2)
    stub.step(100)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say([n.nvmlDeviceGetNvLinkState(h, i) for i in (4, 5)] + [code_of(n.nvmlDeviceGetNvLinkState, h, 18)])
        replays = n.nvmlDeviceGetNvLinkErrorCounter(h, 5, n.NVML_NVLINK_ERROR_DL_REPLAY)
        say([n.nvmlDeviceGetNvLinkVersion(h, 0), replays])
        fields = [37, 38, 51, 52, (138, 5), (138, 0xFFFFFFFF), (138, 18), 91]
        say([(v.nvmlReturn, v.value.ullVal) for v in n.nvmlDeviceGetFieldValues(h, fields)])
        """,
    )
    assert asker.heard() == [1, 0, 2]
    assert asker.heard() == [6, 200]
    assert asker.heard() == [[0, 3], [0, 3], [0, 200], [0, 200], [0, 100], [0, 1800], [2, 0], [0, 18]]


def test_gpm_measures_between_two_samples(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2, stepped=True, load="busy")
    stub.gpus[1].set(tensor_activity=23.5, pcie_tx_bytes_rate=50 * 2**20)
    stub.gpus[1].set(nvlink_tx_bytes_rate=18 * 2**20, nvlink_rx_bytes_rate=36 * 2**20)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(1)
        say(n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice)
        samples = [n.nvmlGpmSampleGet(h, n.nvmlGpmSampleAlloc())]
        say("one"); wait()
        samples.append(n.nvmlGpmSampleGet(h, n.nvmlGpmSampleAlloc()))
        get = n.c_nvmlGpmMetricsGet_t(version=1, sample1=samples[0], sample2=samples[1], numMetrics=8)
        for i, metric in enumerate((5, 10, 20, 400, 60, 61, 62, 97)):
            get.metrics[i].metricId = metric
        n.nvmlGpmMetricsGet(get)
        say([[get.metrics[i].nvmlReturn, round(get.metrics[i].value, 3)] for i in range(8)])
        for sample in samples: n.nvmlGpmSampleFree(sample)
        """,
    )
    assert asker.heard() == 1
    assert asker.heard() == "one"
    stub.step(1)
    stub.gpus[1].set(tensor_activity=33.5)  # half of the time more
    stub.step(1)
    asker.go()
    assert asker.heard() == [[0, 28.5], [0, 52], [0, 50], [3, 0], [0, 36], [0, 18], [0, 2], [0, 1]]


def test_counters_never_go_back_while_rates_change(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say("reads")
        last, steps = 0, 0
        for _ in range(60_000):
            energy = n.nvmlDeviceGetTotalEnergyConsumption(h)
            assert energy >= last, (last, energy)
            steps += energy > last
            last = energy
        say(steps)
        """,
    )
    assert asker.heard() == "reads"
    while asker.process.poll() is None and stub.calls("nvmlDeviceGetTotalEnergyConsumption") < 60_000:
        for power in (700, 0, 350):
            stub.gpus[0].set(power=power)
    assert asker.heard() > 10


def test_values_changed_together_are_seen_together(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1)
    stub.gpus[0].set(utilization=0, memory_utilization=0)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say("reads")
        seen = set()
        for _ in range(40_000):
            rates = n.nvmlDeviceGetUtilizationRates(h)
            seen.add((rates.gpu, rates.memory))
        say([all(a == b for a, b in seen), len(seen) > 1])
        """,
    )
    assert asker.heard() == "reads"
    share = 0
    while asker.process.poll() is None and stub.calls("nvmlDeviceGetUtilizationRates") < 40_000:
        share = (share + 1) % 101
        stub.gpus[0].set(utilization=share, memory_utilization=share)
    assert asker.heard() == [True, True]


def test_what_a_kind_of_gpu_does_not_have(nvml_stub: MakeStub, ask: Ask) -> None:
    asker = ask(
        nvml_stub(gpus=1, profile="l4", load="busy"),
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say(n.nvmlDeviceGetName(h))
        say([code_of(n.nvmlDeviceGetNvLinkState, h, 0), code_of(n.nvmlDeviceGetMigMode, h)])
        [memory_temperature] = n.nvmlDeviceGetFieldValues(h, [82])
        say([n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice, memory_temperature.nvmlReturn])
        say(code_of(n.nvmlDeviceGetTemperatureThreshold, h, n.NVML_TEMPERATURE_THRESHOLD_MEM_MAX))
        """,
    )
    assert asker.heard() == "NVIDIA L4"
    assert asker.heard() == [3, 3]
    assert asker.heard() == [0, 3]
    assert asker.heard() == 3


@pytest.mark.parametrize("profile", ["a100", "h100", "h200", "l4"])
def test_every_kind_is_idle_and_busy(nvml_stub: MakeStub, profile: str) -> None:
    stub = nvml_stub(gpus=1, profile=profile)
    stub.gpus[0].load("busy")
    record = stub.table.record.gpus[0]
    assert record.utilization > 90
    assert 0 < record.power <= record.power_limit
    assert record.memory_reserved + record.memory_used < record.memory_total
    stub.gpus[0].load("idle")
    assert (record.utilization, record.activity[4].rate, record.pcie_tx_bytes.rate) == (0, 0, 0)
