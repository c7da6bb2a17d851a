"""On a node with a real GPU the probe reads what nvidia-smi reads."""

from __future__ import annotations

import pytest

from agent.gpu.probe.calls import load
from bench.nvml import compare, opened, print_costs, sweep


@pytest.mark.gpu
def test_every_reader_agrees_with_nvidia_smi() -> None:
    probe = opened()
    try:
        assert sweep(probe)["state"] == "ready"
        print_costs(load(), probe, 100)
        assert compare(probe) == 0
    finally:
        assert probe.release() == ""


@pytest.mark.gpu
def test_no_value_of_a_real_gpu_is_refused() -> None:
    probe = opened()
    try:
        devices = [sweep(probe) for _ in range(5)][-1]["devices"]
        assert [device["refused"] for device in devices] == [{}] * len(devices)
        assert all(device["state"] == "up" for device in devices)
    finally:
        probe.release()
