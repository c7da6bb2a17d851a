"""Sums as exact as Prometheus' compensated ones, at the price of plain ones."""

from __future__ import annotations

import math

import numpy as np

from rules.promql.frame import Bools, Floats, Integers

_CANCELLED = 1e-6
"""A sum this small against its largest partial sum has lost digits that 1e-9 relative would show."""


def exact_sums(values: Floats, present: Bools) -> Floats:
    """The sum of each column of [K, S] over its present rows.

    Prometheus adds with Kahan-Neumaier compensation. Here the plain sum is taken, and only columns in
    which it cancelled are added again without error.
    """
    counted = values if present.all() else np.where(present, values, 0.0)
    plain: Floats = counted.sum(axis=0)
    if _one_sided(counted):
        return plain
    for column in np.flatnonzero(_cancelled(plain, np.abs(counted).sum(axis=0))):
        plain[column] = _fsum(counted[:, column])
    return plain


def group_sums(values: Floats, order: Integers, starts: Integers) -> Floats:
    """The sum of each group; `order` puts the rows of a group side by side, it begins at `starts`."""
    ordered = values.take(order)
    plain: Floats = np.add.reduceat(ordered, starts)
    if _one_sided(ordered):
        return plain
    ends = np.append(starts[1:], len(order))
    for group in np.flatnonzero(_cancelled(plain, np.add.reduceat(np.abs(ordered), starts))):
        plain[group] = _fsum(ordered[starts[group] : ends[group]])
    return plain


def _one_sided(values: Floats) -> bool:
    """Whether no value is negative: then nothing cancels."""
    return bool(values.min(initial=0.0) >= 0)


def _cancelled(plain: Floats, magnitude: Floats) -> Bools:
    lost: Bools = np.isfinite(magnitude) & (np.abs(plain) < magnitude * _CANCELLED)
    return lost


def _fsum(values: Floats) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return float(values.sum())
