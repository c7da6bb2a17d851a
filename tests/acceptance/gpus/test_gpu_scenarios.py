"""Stories of GPUs from the driver to the alert: what is seen, what is said, and what is not said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import median

import pytest

from tests.acceptance.gpus.rig import INTERVAL, Rig, rig

pytestmark = pytest.mark.acceptance

Tell = Callable[[str], AbstractAsyncContextManager[Rig]]
OTHERS = {"Watchdog", "GpuMemoryHeadroomLow"}
"""Alerts that are no finding: over 90 % of memory is told where no engine is known to have asked for it."""


@pytest.fixture
def tell(tmp_path: Path, nvml_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    return lambda name: rig(name, tmp_path, nvml_cache, monkeypatch)


async def test_eight_healthy_gpus_are_silent(tell: Tell) -> None:
    async with tell("healthy") as node:
        await node.until(300)
        assert node.alerts() - OTHERS == set()
        assert node.of("fleetowl_gpu_up") == {str(gpu): 1.0 for gpu in range(8)}


async def test_a_hang_is_said_of_one_gpu_and_the_others_stay_fresh(tell: Tell) -> None:
    async with tell("hang") as node:
        seen: dict[str, int] = dict.fromkeys(map(str, range(8)), 0)

        def count() -> None:
            for gpu in node.of("DCGM_FI_DEV_GPU_TEMP"):
                seen[gpu] += 1

        await node.until(140, count)
        assert node.fired["GpuProbeHung", "3"] <= 25 + 30
        assert node.of("fleetowl_probe_hung", call="nvmlDeviceGetTemperature") == {"3": 1.0}
        beats = node.now - node.start
        assert {gpu: each for gpu, each in seen.items() if each != beats // INTERVAL} == {"3": seen["3"]}
        assert seen["3"] <= 5
        assert "GpuLost" not in node.alerts(), "a hang is no proof of a dead GPU"
        assert "GpuDriverHung" not in node.alerts()
        await node.until(165)
        assert node.of("DCGM_FI_DEV_GPU_TEMP").keys() == seen.keys(), "it is back without a restart"


async def test_a_lost_gpu_is_down_with_its_reason(tell: Tell) -> None:
    async with tell("lost-gpu") as node:
        await node.until(60)
        assert node.fired["GpuLost", "5"] <= 10 + 2 * INTERVAL / 1000
        assert node.of("fleetowl_gpu_up")["5"] == 0.0
        assert sum(node.of("fleetowl_gpu_up").values()) == 7
        (reason,) = {
            labels["reason"]
            for labels in node.values
            if labels.name == "fleetowl_gpu_device_status" and labels.value("state") == "lost"
        }
        assert "15" in reason or "lost" in reason
        assert node.of("fleetowl_xid_total", xid="79")["5"] == 1.0
        assert {gpu for name, gpu in node.fired if name == "GpuLost"} == {"5"}
        await node.until(120)
        ups = [value for labels, value in node.values.items() if labels.name == "fleetowl_gpu_up"]
        assert sorted(ups) == [0.0] + 7 * [1.0], "gone from the list, it is still told"


async def test_a_storm_of_corrected_errors_is_seen_while_every_threshold_is_silent(tell: Tell) -> None:
    async with tell("ecc-storm") as node:
        await node.until(60)
        assert node.fired["GpuEccStorm", "2"] <= 15 + 30
        rate = node.of("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL")
        assert rate["2"] >= 17_700 * 40
        assert all(value == 0 for gpu, value in rate.items() if gpu != "2")
        assert not node.alerts() & {"GpuEccUncorrected", "GpuRowRemapFailure", "GpuLost"}


async def test_a_straggler_can_be_told_from_its_peers(tell: Tell) -> None:
    async with tell("straggler") as node:
        await node.until(120)
        for family in ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_DEV_POWER_USAGE"):
            values = node.of(family)
            assert len(values) == 8
            middle = median(values.values())
            assert {gpu for gpu, value in values.items() if value < 0.75 * middle} == {"6"}
        used = node.of("DCGM_FI_DEV_GPU_UTIL")
        assert used["6"] > 0.9 * median(used.values()), "its utilisation does not show it"
        assert node.alerts() - OTHERS == {"GpuStraggler"}
        assert {gpu for name, gpu in node.fired if name == "GpuStraggler"} == {"6"}


async def test_a_silent_throttle_is_a_slow_clock(tell: Tell) -> None:
    async with tell("silent-throttle") as node:
        await node.until(720)
        assert node.alerts() - OTHERS == {"GpuSlowClock", "GpuStraggler"}
        assert {gpu for name, gpu in node.fired if name in ("GpuSlowClock", "GpuStraggler")} == {"1"}


async def test_a_flapping_link_is_errors_on_its_gpu(tell: Tell) -> None:
    async with tell("nvlink-flap") as node:
        await node.until(120)
        assert {gpu for name, gpu in node.fired if name == "GpuNvlinkErrors"} == {"4"}
        assert ("GpuXidReset", "4") in node.fired, "XID 74"
        assert node.of("fleetowl_xid_total", xid="74")["4"] == 6.0


async def test_mig_comes_and_goes_under_way(tell: Tell) -> None:
    async with tell("mig") as node:
        await node.until(25)
        assert len(_instances(node, "0")) == 4
        assert len(_instances(node, "1")) == 7
        await node.until(60)
        assert len(_instances(node, "0")) == 4
        assert not _instances(node, "1"), "put together again"
        assert len(_instances(node, "2")) == 1
        assert node.of("fleetowl_gpu_up") == {str(gpu): 1.0 for gpu in range(8)}
        assert node.alerts() - OTHERS == set()


async def test_an_old_driver_says_what_it_can(tell: Tell) -> None:
    async with tell("old-driver") as node:
        await node.until(30)
        assert node.of("fleetowl_gpu_up") == {str(gpu): 1.0 for gpu in range(8)}
        for family in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE"):
            assert len(node.of(family)) == 8
        missing = {labels["family"] for labels in node.values if labels.name == "fleetowl_gpu_missing"}
        assert "DCGM_FI_PROF_GR_ENGINE_ACTIVE" in missing
        assert node.alerts() - OTHERS == set()


async def test_a_driver_upgrade_under_way_is_survived(tell: Tell) -> None:
    async with tell("driver-upgrade") as node:
        await node.until(10)
        assert {_version(node)} == {"570.86.15"}
        await _until_version(node, "580.65.06")
        assert node.of("fleetowl_gpu_up") == {str(gpu): 1.0 for gpu in range(8)}
        assert not node.alerts() & {"GpuLost", "GpuDriverHung", "GpuDriverFailing"}


async def test_bogus_values_are_dropped_and_counted(tell: Tell) -> None:
    async with tell("bogus-values") as node:
        worst = dict[str, float]()

        def watch() -> None:
            for labels, value in node.values.items():
                worst[labels.name] = max(worst.get(labels.name, 0.0), value)

        await node.until(120, watch)
        assert worst["DCGM_FI_DEV_GPU_UTIL"] <= 100
        assert worst["DCGM_FI_DEV_GPU_TEMP"] < 120
        assert worst["DCGM_FI_DEV_MEMORY_TEMP"] < 130
        assert worst["DCGM_FI_DEV_POWER_USAGE"] < 1500
        assert worst["DCGM_FI_DEV_FB_USED"] < 100_000
        assert max(value for name, value in worst.items() if name.startswith("DCGM_")) < 1e15
        refused = {
            labels["family"]: value
            for labels, value in node.values.items()
            if labels.name == "fleetowl_gpu_values_refused_total"
        }
        assert refused["DCGM_FI_DEV_GPU_UTIL"] >= 1
        assert refused["DCGM_FI_DEV_GPU_TEMP"] >= 1
        assert node.alerts() - OTHERS == set()


def _instances(node: Rig, gpu: str) -> set[str]:
    return {
        labels["GPU_I_ID"]
        for labels in node.values
        if labels.name == "DCGM_FI_DEV_FB_USED" and labels.value("gpu") == gpu and labels.value("GPU_I_ID")
    }


def _version(node: Rig) -> str:
    found = {
        labels["DCGM_FI_DRIVER_VERSION"] for labels in node.values if labels.name == "DCGM_FI_DEV_GPU_TEMP"
    }
    return found.pop() if len(found) == 1 else ""


async def _until_version(node: Rig, version: str) -> None:
    """The probe that fits the new library starts in real time: a beat of the story is not much shorter."""
    for _ in range(60):
        await node.until(node.second + INTERVAL / 1000)
        await asyncio.sleep(0.4)
        if _version(node) == version:
            return
    raise AssertionError(f"the driver {version} was never seen")
