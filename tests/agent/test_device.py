"""On a node with a real GPU the collector reads what nvidia-smi reads."""

from __future__ import annotations

import pytest

from agent.nvml import Driver, load_nvml
from bench.nvml import compare


@pytest.mark.gpu
def test_the_collector_agrees_with_nvidia_smi() -> None:
    driver = Driver(load_nvml(), "n1")
    try:
        assert compare(driver) == 0
    finally:
        driver.close()
