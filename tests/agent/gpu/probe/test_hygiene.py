"""No value that a device cannot have leaves the probe."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gpu.probe.hygiene import BLANKS, Customs
from agent.gpu.probe.readers import FAMILIES
from agent.gpu.probe.target import Part

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import Bench, FakeNvml

RANGES = {family.name: (family.low, family.high) for family in FAMILIES}
NUMBERS = st.one_of(
    st.sampled_from(sorted(BLANKS)),
    st.integers(-(2**63), 2**64),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-300, 300),
)


@given(st.dictionaries(st.sampled_from(sorted(RANGES)), NUMBERS))
def test_nothing_out_of_its_range_passes_and_all_else_does(values: dict[str, float]) -> None:
    refused: dict[str, int] = {}
    accepted: dict[str, float] = {}
    Customs(FAMILIES).passed(values, refused, accepted)
    for name, value in values.items():
        low, high = RANGES[name]
        good = not math.isnan(value) and low <= value <= high and value not in BLANKS
        assert (name in accepted) == good
        assert refused.get(name, 0) == (not good)


@given(NUMBERS)
def test_the_same_holds_for_values_with_labels(value: float) -> None:
    refused: dict[str, int] = {}
    accepted: list[Part] = []
    Customs(FAMILIES).passed_parts([("fleetowl_gpu_nvlink_up", {"nvlink": "0"}, value)], refused, accepted)
    assert bool(accepted) == (not refused) == (not math.isnan(value) and 0 <= value <= 1)


def test_every_range_leaves_room() -> None:
    assert all(low < high for low, high in RANGES.values())


BOGUS = [
    ("nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=4294967295, memory=40), "DCGM_FI_DEV_GPU_UTIL"),
    ("nvmlDeviceGetTemperature", lambda sensor: 82505, "DCGM_FI_DEV_GPU_TEMP"),
    ("nvmlDeviceGetPowerUsage", 0x7FFFFFF0, "DCGM_FI_DEV_POWER_USAGE"),
    ("nvmlDeviceGetTotalEnergyConsumption", 0x7FFFFFFFFFFFFFF2, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"),
    ("nvmlDeviceGetTotalEnergyConsumption", 140737488355328, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"),
    ("nvmlDeviceGetPcieReplayCounter", 0xFFFFFFFF, "DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
    ("nvmlDeviceGetRemappedRows", (0, 0, 7, 0), "DCGM_FI_DEV_ROW_REMAP_PENDING"),
]


@pytest.mark.parametrize(("call", "answer", "family"), BOGUS)
def test_what_users_have_seen_is_dropped_and_counted(
    bench: Bench, nvml: FakeNvml, call: str, answer: object, family: str
) -> None:
    nvml.gpus[0].answers[call] = answer
    device = bench.sweep()["devices"][0]
    assert family not in device["values"]
    assert device["refused"] == {family: 1}
    assert device["state"] == "up"


def test_sentinels_in_field_values(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].fields = {
        82: ("ullVal", 9223372036854775794),
        193: ("uiVal", 4294967288),
        194: ("siVal", -2),
        230: ("uiVal", 0x7FFFFFF2),
    }
    device = bench.sweep()["devices"][0]
    assert device["values"]["fleetowl_gpu_shutdown_margin_celsius"] == -8
    assert device["values"]["fleetowl_gpu_slowdown_margin_celsius"] == -2
    assert device["refused"] == {"DCGM_FI_DEV_MEMORY_TEMP": 1, "fleetowl_gpu_recovery_action": 1}
    bench.sweep()
    assert bench.sweep()["devices"][0]["refused"]["fleetowl_gpu_recovery_action"] == 3
