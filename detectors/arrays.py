"""State by dense series id: flat arrays that grow with the ids and follow a renumbering."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from telemetry.bits import Ints

Kind = TypeVar("Kind", bound=np.generic)


def grown(array: NDArray[Kind], size: int, empty: float) -> NDArray[Kind]:
    """The array with room for the ids below `size`; new places hold `empty`."""
    if len(array) >= size:
        return array
    larger = np.full(max(size, len(array) * 3 // 2), empty, array.dtype)
    larger[: len(array)] = array
    return larger


def remapped(array: NDArray[Kind], new_ids: Ints, size: int, empty: float) -> NDArray[Kind]:
    """The array by new ids (`new_ids[old id]`, -1 = gone), `size` of them."""
    old = np.flatnonzero(new_ids[: len(array)] >= 0)
    moved = np.full(size, empty, array.dtype)
    moved[new_ids[old]] = array[old]
    return moved
