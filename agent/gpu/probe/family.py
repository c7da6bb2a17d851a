"""A family that the probe reads: what it is called, and what values a device can have."""

from __future__ import annotations

from typing import NamedTuple

from model.metric import Metric

GPU_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION")
"""dcgm-exporter's, in its order. MIG instances have GPU_I_PROFILE and GPU_I_ID besides."""

OWN_LABELS = tuple(name for name in GPU_LABELS if name != "modelName")
"""Of Fleetowl's own families, in Prometheus' style."""

LINK_LABELS = ("nvlink", "gpu", "gpu_uuid", "pci_bus_id", "device", "model_name", *GPU_LABELS[-2:])
"""dcgm-exporter's for NVLinks, where it spells the GPU otherwise."""

MOST = 2.0**62
"""Above what any 64-bit counter reaches in a century of nanoseconds, and below the blanks."""


class Family(NamedTuple):
    """A metric and its plausible range, both ends included."""

    name: str
    metric: Metric
    low: float
    high: float


def gauge(name: str, text: str, high: float, low: float = 0.0, labels: tuple[str, ...] = ()) -> Family:
    """A family whose value goes up and down between `low` and `high`."""
    return Family(name, Metric(name, "gauge", text, labels or _labels(name)), low, high)


def counter(name: str, text: str, high: float = MOST) -> Family:
    """A family that only grows, until the driver is loaded anew."""
    return Family(name, Metric(name, "counter", text, _labels(name)), 0.0, high)


def _labels(name: str) -> tuple[str, ...]:
    return OWN_LABELS if name.startswith("fleetowl_") else GPU_LABELS


def metrics(*families: Family) -> tuple[Metric, ...]:
    """The declarations of families."""
    return tuple(family.metric for family in families)
