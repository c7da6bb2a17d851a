"""Three NaNs that mean different things, told apart by their bits.

Missing: no sample in this slot. Stale: Prometheus' marker that the series has ended here (model/value
in Prometheus: StaleNaN). Any other NaN is a value that a target really sent. Arithmetic destroys the
first two, copying keeps them: so ask for them before computing.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STALE_BITS: Final = 0x7FF0000000000002
MISSING_BITS: Final = 0x7FF8000000004F57
STALE_NAN: Final = float(struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0])
MISSING_NAN: Final = float(struct.unpack("<d", struct.pack("<Q", MISSING_BITS))[0])


def is_stale(values: Floats) -> Flags:
    """Where a value is the stale marker; same shape as `values`."""
    stale: Flags = values.view(np.int64) == STALE_BITS
    return stale


def is_missing(values: Floats) -> Flags:
    """Where there is no sample; same shape as `values`."""
    missing: Flags = values.view(np.int64) == MISSING_BITS
    return missing


def same_bits(left: Floats, right: Floats) -> Flags:
    """Where two values are the same to the last bit, NaN included."""
    same: Flags = left.view(np.int64) == right.view(np.int64)
    return same
