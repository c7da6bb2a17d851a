"""The /metrics of dcgm-exporter up to 4.8.2 on one node: families, units, label order and spelling.

The values are live: a real exporter shows those of its last collection (`-c`, 30 s unless set).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from simulator.cluster import Cluster
from simulator.gpu import Gpu
from simulator.node import Node
from simulator.page import Page, go_number, series, six_digits

_RESERVED = 550  # MiB that the driver keeps


class _Family(NamedTuple):
    name: str
    kind: str
    help: str
    read: Callable[[Gpu], float]
    fractional: bool = False


def _busy_percent(gpu: Gpu) -> float:
    return round(100 * min(1.0, gpu.busy) * (1.0 if gpu.tensor == 0.0 else 0.87 + 0.08 * (gpu.tensor / 0.35)))


_FAMILIES = (
    _Family("SM_CLOCK", "gauge", "SM clock frequency (in MHz).", lambda gpu: round(gpu.clock / 15) * 15),
    _Family("MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", lambda gpu: 2619),
    _Family("MEMORY_TEMP", "gauge", "Memory temperature (in C).", lambda gpu: round(gpu.memory_temperature)),
    _Family("GPU_TEMP", "gauge", "GPU temperature (in C).", lambda gpu: round(gpu.temperature)),
    _Family("POWER_USAGE", "gauge", "Power draw (in W).", lambda gpu: gpu.power, True),
    _Family(
        "TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Total energy consumption since boot (in mJ).",
        lambda gpu: round(gpu.energy * 1000),
    ),
    _Family(
        "PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", lambda gpu: int(gpu.pcie_replays)
    ),
    _Family("GPU_UTIL", "gauge", "GPU utilization (in %).", _busy_percent),
    _Family(
        "MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", lambda gpu: round(150 * min(gpu.tensor, 0.4))
    ),
    _Family("ENC_UTIL", "gauge", "Encoder utilization (in %).", lambda gpu: 0),
    _Family("DEC_UTIL", "gauge", "Decoder utilization (in %).", lambda gpu: 0),
    _Family("XID_ERRORS", "gauge", "Value of the last XID error encountered.", lambda gpu: gpu.xid),
    _Family(
        "POWER_VIOLATION", "counter", "Throttling duration due to power constraints (in ns).", lambda gpu: 0
    ),
    _Family(
        "THERMAL_VIOLATION",
        "counter",
        "Throttling duration due to thermal constraints (in ns).",
        lambda gpu: round(gpu.throttled * 1e9),
    ),
    _Family(
        "FB_FREE",
        "gauge",
        "Framebuffer memory free (in MiB).",
        lambda gpu: gpu.settings.memory - _RESERVED - gpu.memory_used,
    ),
    _Family("FB_USED", "gauge", "Framebuffer memory used (in MiB).", lambda gpu: gpu.memory_used),
    _Family("FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", lambda gpu: _RESERVED),
    _Family(
        "ECC_DBE_VOL_TOTAL",
        "counter",
        "Total number of double-bit volatile ECC errors.",
        lambda gpu: int(gpu.ecc_dbe),
    ),
    _Family(
        "UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Number of remapped rows for uncorrectable errors",
        lambda gpu: int(gpu.remapped_rows),
    ),
    _Family(
        "CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Number of remapped rows for correctable errors",
        lambda gpu: 0,
    ),
    _Family(
        "ROW_REMAP_FAILURE",
        "gauge",
        "Whether remapping of rows has failed",
        lambda gpu: int(gpu.remap_failure),
    ),
    _Family(
        "RETIRED_PENDING",
        "counter",
        "Total number of pages pending retirement.",
        lambda gpu: gpu.remap_pending,
    ),
    _Family(
        "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
        "counter",
        "Total number of NVLink flow-control CRC errors.",
        lambda gpu: int(gpu.crc_errors),
    ),
    _Family("VGPU_LICENSE_STATUS", "gauge", "vGPU License status", lambda gpu: 0),
)

_PROFILING = (
    _Family(
        "GR_ENGINE_ACTIVE",
        "gauge",
        "Ratio of time the graphics engine is active.",
        lambda gpu: gpu.busy,
        True,
    ),
    _Family(
        "PIPE_TENSOR_ACTIVE",
        "gauge",
        "Ratio of cycles the tensor (HMMA) pipe is active.",
        lambda gpu: gpu.tensor,
        True,
    ),
    _Family(
        "DRAM_ACTIVE",
        "gauge",
        "Ratio of cycles the device memory interface is active sending or receiving data.",
        lambda gpu: min(1.0, gpu.tensor * 1.7),
        True,
    ),
    _Family(
        "PCIE_TX_BYTES",
        "gauge",
        "The rate of data transmitted over the PCIe bus, in bytes per second.",
        lambda gpu: 1e5 + gpu.tensor * 3e8,
    ),
    _Family(
        "PCIE_RX_BYTES",
        "gauge",
        "The rate of data received over the PCIe bus, in bytes per second.",
        lambda gpu: 2e4 + gpu.tensor * 4e8,
    ),
)


class DcgmPage:
    """Renders the page of one node; laid out anew when the set of visible GPUs or their pods change."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster, self._node = cluster, node
        self._key: tuple[object, ...] | None = None
        self._page = Page(go_number)

    def render(self) -> bytes:
        """The page with the GPUs that the driver still knows."""
        gpus = [gpu for gpu in self._node.gpus if gpu.visible]
        key = tuple(gpu.index for gpu in gpus)
        if key != self._key:
            self._key, self._page = key, self._layout(gpus)
        return self._page.render()

    def _layout(self, gpus: Sequence[Gpu]) -> Page:
        page = Page(go_number)
        labels = [self._labels(gpu) for gpu in gpus]
        for prefix, families in (("DCGM_FI_DEV_", _FAMILIES), ("DCGM_FI_PROF_", _PROFILING)):
            for family in families:
                name = prefix + family.name
                if gpus:
                    page.header(name, family.kind, family.help)
                page.samples(
                    [series(name, pairs) for pairs in labels],
                    lambda read=family.read: [read(gpu) for gpu in gpus],  # type: ignore[misc]
                    six_digits if family.fractional else go_integer,
                )
        return page

    def _labels(self, gpu: Gpu) -> list[tuple[str, str]]:
        replica = self._cluster.replica_of(gpu)
        used = replica is not None
        return [
            ("gpu", str(gpu.index)),
            ("UUID", gpu.uuid),
            ("pci_bus_id", gpu.pci_bus_id),
            ("device", f"nvidia{gpu.index}"),
            ("modelName", gpu.settings.model_name),
            ("Hostname", gpu.node),
            ("DCGM_FI_DRIVER_VERSION", gpu.settings.driver_version),
            ("container", "vllm" if used else ""),
            ("namespace", self._cluster.settings.namespace if used else ""),
            ("pod", replica.name if replica is not None else ""),
        ]


def go_integer(value: float) -> str:
    """An integer field, never in exponent form."""
    return str(int(value))
