"""The PCIe link: what was sent again, how wide and fast it is. How much it carries is in `profiling`."""

from __future__ import annotations

from agent.gpu.probe.family import counter, gauge, metrics
from agent.gpu.probe.target import one

_WIDEST, _NEWEST = 64, 16

REPLAYS = counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Total number of PCIe retries.")
LINK_WIDTH = gauge("DCGM_FI_DEV_PCIE_LINK_WIDTH", "PCIe lanes in use.", _WIDEST)
LINK_GEN = gauge("DCGM_FI_DEV_PCIE_LINK_GEN", "PCIe generation in use, lower while idle.", _NEWEST)
MAX_LINK_WIDTH = gauge("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "PCIe lanes that GPU and slot have.", _WIDEST)
MAX_LINK_GEN = gauge("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", "PCIe generation that GPU and slot have.", _NEWEST)
METRICS = metrics(REPLAYS, LINK_WIDTH, LINK_GEN, MAX_LINK_WIDTH, MAX_LINK_GEN)

READERS = (
    one(REPLAYS, "nvmlDeviceGetPcieReplayCounter", slow=True),
    one(LINK_WIDTH, "nvmlDeviceGetCurrPcieLinkWidth", slow=True),
    one(LINK_GEN, "nvmlDeviceGetCurrPcieLinkGeneration", slow=True),
    one(MAX_LINK_WIDTH, "nvmlDeviceGetMaxPcieLinkWidth", slow=True),
    one(MAX_LINK_GEN, "nvmlDeviceGetMaxPcieLinkGeneration", slow=True),
)
