"""Range functions that sum up what a series was over a range, and the node that applies one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from rules.promql import rates, regression
from rules.promql.context import Context, Notes
from rules.promql.frame import Bools, Column, Floats, empty
from rules.promql.node import Node, number
from rules.promql.ranged import Block, Ranged
from rules.promql.sums import exact_sums
from wire.gotext import go_float

Result = tuple[Floats, Bools]
Kernel = Callable[..., Result]


def sum_over_time(block: Block) -> Result:
    """The sum, free of cancellation."""
    return exact_sums(block.values, block.present), block.counts > 0


def avg_over_time(block: Block) -> Result:
    """The mean; of huge values too, whose sum would overflow."""
    counts = np.maximum(block.counts, 1)
    values = exact_sums(block.values, block.present) / counts
    overflowed = np.isinf(values) & ~(np.isinf(block.values) & block.present).any(axis=0)
    if overflowed.any():
        scaled = exact_sums(block.values / counts, block.present)
        values = np.where(overflowed, scaled, values)
    return values, block.counts > 0


def min_over_time(block: Block) -> Result:
    """The smallest value; NaN only if there is nothing else."""
    return np.fmin.reduce(_or_nan(block), axis=0), block.counts > 0


def max_over_time(block: Block) -> Result:
    """The largest value; NaN only if there is nothing else."""
    return np.fmax.reduce(_or_nan(block), axis=0), block.counts > 0


def count_over_time(block: Block) -> Result:
    """How many samples there are."""
    return block.counts.astype(np.float64), block.counts > 0


def present_over_time(block: Block) -> Result:
    """1 for each series with a sample."""
    return np.ones(len(block.counts)), block.counts > 0


def last_over_time(block: Block) -> Result:
    """The newest value."""
    return block.last_values, block.counts > 0


def first_over_time(block: Block) -> Result:
    """The oldest value."""
    return block.first_values, block.counts > 0


def mad_over_time(block: Block) -> Result:
    """The median absolute deviation."""
    median, known = regression.quantile_over_time(0.5, block)
    apart = replace(block, values=np.abs(block.values - median))
    return regression.quantile_over_time(0.5, apart)[0], known


def ts_of_first_over_time(block: Block) -> Result:
    """When the oldest sample was taken, in seconds."""
    return block.first_times / 1000, block.counts > 0


def ts_of_last_over_time(block: Block) -> Result:
    """When the newest sample was taken, in seconds."""
    return block.last_times / 1000, block.counts > 0


def ts_of_min_over_time(block: Block) -> Result:
    """When the smallest value was there last, in seconds."""
    return _time_of(block, min_over_time(block)[0]), block.counts > 0


def ts_of_max_over_time(block: Block) -> Result:
    """When the largest value was there last, in seconds."""
    return _time_of(block, max_over_time(block)[0]), block.counts > 0


def _time_of(block: Block, values: Floats) -> Floats:
    here = block.present & ((block.values == values) | (np.isnan(values) & np.isnan(block.values)))
    return block.pick(block.times, len(here) - 1 - here[::-1].argmax(axis=0)) / 1000


def stdvar_over_time(block: Block) -> Result:
    """The population variance."""
    counts = np.maximum(block.counts, 1)
    # Distances from the first value: what does not vary has variance 0, to the last bit.
    distances = block.values - block.first_values
    mean = exact_sums(distances, block.present) / counts
    squares = np.where(block.present, (distances - mean) ** 2, 0.0)
    return squares.sum(axis=0) / counts, block.counts > 0


def stddev_over_time(block: Block) -> Result:
    """The population standard deviation."""
    values, known = stdvar_over_time(block)
    return np.sqrt(values), known


def _or_nan(block: Block) -> Floats:
    return block.values if block.full else np.where(block.present, block.values, np.nan)


KERNELS: dict[str, Kernel] = {
    "rate": rates.rate,
    "increase": rates.increase,
    "delta": rates.delta,
    "irate": rates.irate,
    "idelta": rates.idelta,
    "changes": rates.changes,
    "resets": rates.resets,
    "sum_over_time": sum_over_time,
    "avg_over_time": avg_over_time,
    "min_over_time": min_over_time,
    "max_over_time": max_over_time,
    "count_over_time": count_over_time,
    "present_over_time": present_over_time,
    "last_over_time": last_over_time,
    "first_over_time": first_over_time,
    "mad_over_time": mad_over_time,
    "ts_of_first_over_time": ts_of_first_over_time,
    "ts_of_last_over_time": ts_of_last_over_time,
    "ts_of_min_over_time": ts_of_min_over_time,
    "ts_of_max_over_time": ts_of_max_over_time,
    "stdvar_over_time": stdvar_over_time,
    "stddev_over_time": stddev_over_time,
    "deriv": regression.deriv,
    "double_exponential_smoothing": regression.double_exponential_smoothing,
    "predict_linear": regression.predict_linear,
    "quantile_over_time": regression.quantile_over_time,
}
"""Each takes a block (and its function's scalars) to a value for each series and whether it has one."""

KEEPS_NAME = frozenset({"last_over_time", "first_over_time"})
COUNTERS = frozenset({"rate", "increase"})
COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


class RangeReader(Protocol):
    """A range selector or a subquery."""

    def read(self, context: Context) -> Ranged:
        """The samples in the range that ends at the moment of the context."""
        ...


class RangeFunction:
    """A kernel applied to a range vector; its scalars stand before or after the range."""

    def __init__(self, name: str, operand: RangeReader, before: list[Node], after: list[Node]) -> None:
        self._name = name
        self._kernel = KERNELS[name]
        self._before, self._after = before, after
        self._operand = operand

    def evaluate(self, context: Context) -> Column:
        """One value for each series that has enough samples in the range."""
        before = [number(argument, context) for argument in self._before]
        after = [number(argument, context) for argument in self._after]
        ranged = self._operand.read(context)
        if self._name == "quantile_over_time":
            check_quantile(before[0], context.notes)
        if not ranged.blocks:
            return empty()
        with np.errstate(all="ignore"):
            parts = [_apply(self._kernel, before, block, after) for block in ranged.blocks]
        values, present = (np.concatenate(part) for part in zip(*parts, strict=True))
        if self._name in COUNTERS and present.any():
            _check_counter(ranged.frame[0].name, context.notes)
        return Column(ranged.frame, values, present, self._name not in KEEPS_NAME or ranged.dropped)


def check_quantile(wanted: float, notes: Notes) -> None:
    """Say so if it is none."""
    if not 0 <= wanted <= 1:
        notes.warn(f"quantile value should be between 0 and 1, got {go_float(wanted)}")


def _check_counter(name: str, notes: Notes) -> None:
    if name and not name.endswith(COUNTER_SUFFIXES):
        notes.inform(
            f'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "{name}"'
        )


def _apply(kernel: Kernel, before: list[float], block: Block, after: list[float]) -> Result:
    if not len(block.values):
        series = block.present.shape[1]
        return np.zeros(series), np.zeros(series, dtype=np.bool_)
    return kernel(*before, block, *after)
