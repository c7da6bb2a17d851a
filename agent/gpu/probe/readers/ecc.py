"""Memory errors that ECC has found, and pages that were retired for them (before Ampere)."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.family import counter, metrics
from agent.gpu.probe.target import Reader, Target, one

_CORRECTED, _UNCORRECTED = 0, 1  # nvmlMemoryErrorType_t
_VOLATILE, _AGGREGATE = 0, 1  # nvmlEccCounterType_t

SBE_VOLATILE = counter("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "Total number of single-bit volatile ECC errors.")
DBE_VOLATILE = counter("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Total number of double-bit volatile ECC errors.")
SBE_AGGREGATE = counter("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "Total number of single-bit persistent ECC errors.")
DBE_AGGREGATE = counter("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "Total number of double-bit persistent ECC errors.")
RETIRED_SBE = counter("DCGM_FI_DEV_RETIRED_SBE", "Total number of retired pages due to single-bit errors.")
RETIRED_DBE = counter("DCGM_FI_DEV_RETIRED_DBE", "Total number of retired pages due to double-bit errors.")
RETIRED_PENDING = counter("DCGM_FI_DEV_RETIRED_PENDING", "Total number of pages pending retirement.")
_RETIRED = (RETIRED_SBE, RETIRED_DBE, RETIRED_PENDING)
_RETIRED_FIELDS = tuple((family.name, 29 + index, 0) for index, family in enumerate(_RETIRED))
METRICS = metrics(SBE_VOLATILE, DBE_VOLATILE, SBE_AGGREGATE, DBE_AGGREGATE, *_RETIRED)


def _retired(target: Target) -> Mapping[str, float]:
    return target.field_values(_RETIRED_FIELDS)


READERS = (
    # These are quick, and an error storm shows in them before any XID.
    one(SBE_VOLATILE, "nvmlDeviceGetTotalEccErrors", _CORRECTED, _VOLATILE),
    one(DBE_VOLATILE, "nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _VOLATILE),
    one(SBE_AGGREGATE, "nvmlDeviceGetTotalEccErrors", _CORRECTED, _AGGREGATE, slow=True),
    one(DBE_AGGREGATE, "nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _AGGREGATE, slow=True),
    Reader(_RETIRED, _retired, slow=True),
)
