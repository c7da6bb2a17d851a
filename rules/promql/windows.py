"""Range functions that sum up what a series was over a range, and the node that applies one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rules.promql import rates, regression
from rules.promql.context import Context
from rules.promql.frame import Bools, Column, Floats, empty
from rules.promql.node import Node, number
from rules.promql.selectors import Block, RangeSelector
from rules.promql.sums import exact_sums

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
    return block.pick(block.values, block.last), block.counts > 0


def stdvar_over_time(block: Block) -> Result:
    """The population variance."""
    counts = np.maximum(block.counts, 1)
    # Distances from the first value: what does not vary has variance 0, to the last bit.
    distances = block.values - block.pick(block.values, block.first)
    mean = exact_sums(distances, block.present) / counts
    squares = np.where(block.present, (distances - mean) ** 2, 0.0)
    return squares.sum(axis=0) / counts, block.counts > 0


def stddev_over_time(block: Block) -> Result:
    """The population standard deviation."""
    values, known = stdvar_over_time(block)
    return np.sqrt(values), known


def _or_nan(block: Block) -> Floats:
    return np.where(block.present, block.values, np.nan)


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
    "stdvar_over_time": stdvar_over_time,
    "stddev_over_time": stddev_over_time,
    "deriv": regression.deriv,
    "predict_linear": regression.predict_linear,
    "quantile_over_time": regression.quantile_over_time,
}
"""Each takes a block (and its function's scalars) to a value for each series and whether it has one."""

KEEPS_NAME = frozenset({"last_over_time"})


class RangeFunction:
    """A kernel applied to a range selector; its scalars stand before or after the range."""

    def __init__(self, name: str, selector: RangeSelector, before: list[Node], after: list[Node]) -> None:
        self._kernel = KERNELS[name]
        self._before, self._after = before, after
        self._keeps_name = name in KEEPS_NAME
        self._selector = selector

    def evaluate(self, context: Context) -> Column:
        """One value for each series that has enough samples in the range."""
        before = [number(argument, context) for argument in self._before]
        after = [number(argument, context) for argument in self._after]
        blocks = self._selector.read(context)
        if not blocks:
            return empty()
        with np.errstate(all="ignore"):
            parts = [_apply(self._kernel, before, block, after) for block in blocks]
        values, present = (np.concatenate(part) for part in zip(*parts, strict=True))
        frame = self._selector.series.frame
        return Column(frame if self._keeps_name else frame.without_name(), values, present).checked()


def _apply(kernel: Kernel, before: list[float], block: Block, after: list[float]) -> Result:
    if not len(block.times):
        series = block.present.shape[1]
        return np.zeros(series), np.zeros(series, dtype=np.bool_)
    return kernel(*before, block, *after)
