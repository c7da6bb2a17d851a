"""Compact state: a place for each of some series, for detectors that see only what somebody demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import State
from telemetry.bits import Flags, Ints
from telemetry.window import IdRemap


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the state: a row of `shape` for each series, `empty` before anything is known."""

    kind: type[np.generic]
    empty: float
    shape: tuple[int, ...] = ()


class Slots:
    """Rows of state for distinct series: `ids[row]` is the series, `place[id]` its row or -1.

    >>> slots = Slots({"level": Field(np.float64, 0.0)})
    >>> slots.add(np.array([7, 3]))
    array([0, 1])
    >>> slots["level"][slots.place[3]] = 5.0
    >>> slots.keep(np.array([False, True]))
    >>> slots.ids, slots["level"]
    (array([3]), array([5.]))
    """

    def __init__(self, fields: Mapping[str, Field], derived: Mapping[str, Field] | None = None) -> None:
        """`derived` fields are made anew from labels, so no snapshot holds them."""
        self.ids: Ints = np.empty(0, np.int64)
        self.place: Ints = np.empty(0, np.int64)
        self._kept = tuple(fields)
        self._fields = {**fields, **(derived or {})}
        self._rows = {name: _rows(field, 0) for name, field in self._fields.items()}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._rows[name]

    def add(self, ids: Ints) -> Ints:
        """The rows of these series, made where there is none yet."""
        self._reach(int(ids.max(initial=-1)) + 1)
        new = ids[self.place[ids] < 0]
        if len(new):
            self.place[new] = np.arange(len(self.ids), len(self.ids) + len(new))
            self.ids = np.concatenate([self.ids, new])
            for name, field in self._fields.items():
                self._rows[name] = np.concatenate([self._rows[name], _rows(field, len(new))])
        rows: Ints = self.place[ids]
        return rows

    def keep(self, kept: Flags) -> None:
        """Forget the other rows."""
        self.place[self.ids] = -1
        self.ids = self.ids[kept]
        self.place[self.ids] = np.arange(len(self.ids))
        self._rows = {name: rows[kept] for name, rows in self._rows.items()}

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        ids = remap.apply(self.ids)
        self.keep(ids >= 0)
        self.ids = ids[ids >= 0]
        self.place = np.full(remap.size, -1, np.int64)
        self.place[self.ids] = np.arange(len(self.ids))

    def snapshot(self) -> State:
        """Copies of all rows, and whose they are."""
        return {"ids": self.ids.copy(), **{name: self._rows[name].copy() for name in self._kept}}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over the rows of a snapshot; series that it does not name keep theirs.

        Raises KeyError or ValueError where it does not fit; the slots are then as they were.
        """
        ids = np.asarray(state["ids"], np.int64)
        arrays = {name: np.asarray(state[name]) for name in self._kept}
        if (len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size) or len(np.unique(ids)) != len(ids):
            raise ValueError(f"ids are not distinct numbers below {size}")
        for name, array in arrays.items():
            expected = (len(ids), *self._fields[name].shape)
            if array.shape != expected:
                raise ValueError(f"{name} has the shape {array.shape}, not {expected}")
        rows = self.add(ids)
        for name, array in arrays.items():
            self._rows[name][rows] = array

    @property
    def bytes(self) -> int:
        """Memory of the rows."""
        return sum(int(rows.nbytes) for rows in self._rows.values()) + self.ids.nbytes + self.place.nbytes

    def _reach(self, size: int) -> None:
        if len(self.place) < size:
            place = np.full(max(size, len(self.place) * 3 // 2), -1, np.int64)
            place[: len(self.place)] = self.place
            self.place = place


def _rows(field: Field, count: int) -> NDArray[Any]:
    return np.full((count, *field.shape), field.empty, field.kind)
