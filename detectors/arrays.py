"""State by dense series id: flat arrays that grow with the ids and follow a renumbering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from telemetry.bits import Ints

Kind = TypeVar("Kind", bound=np.generic)


def grown(array: NDArray[Kind], size: int, empty: float) -> NDArray[Kind]:
    """The array with room for the ids below `size`; new places hold `empty`."""
    if len(array) >= size:
        return array
    larger = np.full((max(size, len(array) * 3 // 2), *array.shape[1:]), empty, array.dtype)
    larger[: len(array)] = array
    return larger


def remapped(array: NDArray[Kind], new_ids: Ints, size: int, empty: float) -> NDArray[Kind]:
    """The array by new ids (`new_ids[old id]`, -1 = gone), `size` of them."""
    old = np.flatnonzero(new_ids[: len(array)] >= 0)
    moved = np.full((size, *array.shape[1:]), empty, array.dtype)
    moved[new_ids[old]] = array[old]
    return moved


def copied(owner: object, names: Sequence[str], size: int) -> dict[str, NDArray[Any]]:
    """Copies of the arrays of these names, as far as the first `size` places go."""
    return {name: getattr(owner, name)[:size].copy() for name in names}


def taken_over(
    owner: object, names: Sequence[str], state: Mapping[str, NDArray[Any]], size: int, prefix: str = ""
) -> None:
    """Set the first `size` places of these arrays from what `copied` gave, all arrays or none.

    They have that many places already. Raises KeyError where one lacks, ValueError where one does not fit.
    """
    arrays = {name: np.asarray(state[prefix + name]) for name in names}
    for name, array in arrays.items():
        own = getattr(owner, name)[:size]
        if array.shape != own.shape:
            raise ValueError(f"{name} has the shape {array.shape}, not {own.shape}")
    for name, array in arrays.items():
        getattr(owner, name)[:size] = array


class ByPlace:
    """Arrays by place, as many places in each, that are all there is to keep."""

    ARRAYS: ClassVar[tuple[str, ...]]
    """Their names."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All of it, as copies."""
        return {name: getattr(self, name).copy() for name in self.ARRAYS}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken_over(self, self.ARRAYS, state, len(getattr(self, self.ARRAYS[0])))

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return sum(int(getattr(self, name).nbytes) for name in self.ARRAYS)
