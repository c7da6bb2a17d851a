"""Rows of memory that were replaced by spare ones (from Ampere on), and how many spare ones are left."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.errors import NOT_SUPPORTED, sentence
from agent.gpu.probe.family import OWN_LABELS, counter, gauge, metrics
from agent.gpu.probe.target import Reader, Target, lacking

_MOST_ROWS = 1 << 24

UNCORRECTABLE = counter(
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "Number of remapped rows for uncorrectable errors",
    _MOST_ROWS,
)
CORRECTABLE = counter(
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "Number of remapped rows for correctable errors", _MOST_ROWS
)
FAILURE = gauge("DCGM_FI_DEV_ROW_REMAP_FAILURE", "Whether remapping of rows has failed", 1)
PENDING = gauge(
    "DCGM_FI_DEV_ROW_REMAP_PENDING", "Whether a row waits for a reset of the GPU to be remapped", 1
)
BANKS = gauge(
    "fleetowl_gpu_row_remap_banks",
    "Memory banks by how many spare rows they have left: max, high, partial, low or none.",
    _MOST_ROWS,
    labels=(*OWN_LABELS, "spare"),
)
_ROWS = (CORRECTABLE, UNCORRECTABLE, PENDING, FAILURE)  # in the order in which the driver answers
_SPARE = ("max", "high", "partial", "low", "none")
_UNDER_MIG = f"cannot be read while the GPU is in MIG mode: {sentence(NOT_SUPPORTED)}"
METRICS = metrics(*_ROWS, BANKS)


def _rows(target: Target) -> Mapping[str, float]:
    try:
        rows = target.nvml.nvmlDeviceGetRemappedRows(target.handle)
    except target.nvml.NVMLError as error:
        if error.value != NOT_SUPPORTED or not target.mig:
            raise
        target.missing.update(lacking(_ROWS, _UNDER_MIG))
        return {}
    return {family.name: value for family, value in zip(_ROWS, rows, strict=True)}


def _banks(target: Target) -> Mapping[str, float]:
    histogram = target.nvml.nvmlDeviceGetRowRemapperHistogram(target.handle)
    target.parts += [(BANKS.name, {"spare": spare}, getattr(histogram, spare)) for spare in _SPARE]
    return {}


READERS = (Reader(_ROWS, _rows), Reader((BANKS,), _banks, slow=True))
