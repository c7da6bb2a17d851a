"""Range functions that fit a line or rank values: deriv, predict_linear, quantile_over_time.

Source of the fit: prometheus/prometheus promql/functions.go, linearRegression; times are taken relative
to a point near the samples, so that the sums keep their digits.
"""

from __future__ import annotations

import numpy as np

from rules.promql.errors import EvaluationError
from rules.promql.frame import Bools, Floats
from rules.promql.ranged import Block

Result = tuple[Floats, Bools]


def deriv(block: Block) -> Result:
    """The slope of the least-squares line, per second; needs two samples."""
    slope, _ = _fit(block, block.first_times)
    return slope, block.counts >= 2


def predict_linear(block: Block, seconds: float) -> Result:
    """Where that line will be `seconds` after the moment of evaluation."""
    slope, intercept = _fit(block, np.full(block.present.shape[1], float(block.at)))
    return slope * seconds + intercept, block.counts >= 2


def double_exponential_smoothing(block: Block, level: float, trend: float) -> Result:
    """The last value, smoothed with factors in (0, 1) for level and trend; needs two samples.

    Source: promql/functions.go, funcDoubleExponentialSmoothing. Raises EvaluationError for other factors.
    """
    for name, factor in (("smoothing", level), ("trend", trend)):
        if not 0 < factor < 1:
            raise EvaluationError(f"invalid {name} factor. Expected: 0 < factor < 1, got: {factor:f}")
    # The samples of each series side by side, whatever gaps it has.
    order = np.argsort(~block.present, axis=0, kind="stable")
    values = np.take_along_axis(block.values, order, axis=0)
    smooth = values[0].copy()
    slope = values[1] - values[0] if len(values) > 1 else np.zeros_like(smooth)
    for row in range(1, len(values)):
        now = level * values[row] + (1 - level) * (smooth + slope)
        there = row < block.counts
        # The slope that a sample uses was updated by the sample before it.
        slope = np.where(there, trend * (now - smooth) + (1 - trend) * slope, slope)
        smooth = np.where(there, now, smooth)
    return smooth, block.counts >= 2


def _fit(block: Block, origin: Floats) -> tuple[Floats, Floats]:
    """Slope per second, and value at `origin` (ms), of each series."""
    present, counts = block.present, np.maximum(block.counts, 1)
    seconds = np.where(present, (block.times - origin) / 1000, 0.0)
    # Around the means: the textbook's sums of squares lose everything for large values.
    mean_time = seconds.sum(axis=0) / counts
    first = block.first_values
    values = np.where(present, block.values - first, 0.0)
    mean_value = values.sum(axis=0) / counts
    apart = np.where(present, seconds - mean_time, 0.0)
    slope: Floats = (apart * (values - mean_value)).sum(axis=0) / (apart**2).sum(axis=0)
    constant = (block.filled == first).all(axis=0) & np.isfinite(first)
    slope = np.where(constant, 0.0, np.where(np.isfinite(first), slope, np.nan))
    return slope, mean_value + first - slope * mean_time


def quantile_over_time(wanted: float, block: Block) -> Result:
    """The quantile of the samples, interpolated; NaN counts as smallest."""
    known = block.counts > 0
    if np.isnan(wanted) or wanted < 0 or wanted > 1:
        limit = np.nan if np.isnan(wanted) else -np.inf if wanted < 0 else np.inf
        return np.full(len(known), limit), known
    # Two keys put what is missing behind everything and NaN before all numbers.
    order = np.lexsort((block.values, ~np.isnan(block.values), ~block.present), axis=0)
    values = np.take_along_axis(block.values, order, axis=0)
    counts = np.maximum(block.counts, 1)
    rank = wanted * (counts - 1)
    lower = np.floor(rank).astype(np.int64)
    upper = np.minimum(counts - 1, lower + 1)
    weight = rank - lower
    return block.pick(values, lower) * (1 - weight) + block.pick(values, upper) * weight, known
