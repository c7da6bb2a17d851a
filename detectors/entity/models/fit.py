"""Fitting: five models on one sample of normalised rows, and their scores in one meaning.

Each model looks at a stack of rows `[m, RING, d]`, newest first, in scales of the entity. Its raw score is
turned into the logarithm of how far it is in the tail of the sample: 0 at the edge, 1 the mean excess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from detectors.entity.models.baseline import top_of
from detectors.entity.models.forest import Forest, grow
from telemetry.bits import Floats, Ints

Stack = NDArray[np.float32]

MODELS = ("distance", "pca", "var", "kmeans", "forest")
TAIL = 0.02
"""The part of the sample that is tail."""
_VAR_LAGS = (1, 2, 3, 5)
_KMEANS_LAGS = (0, 3, 6, 9)
_CLUSTERS = 20
_VARIANCE = 0.9  # what the principal components explain
_RIDGE = 1e-3
_EPSILON = 1e-3


class Models(NamedTuple):
    """What was fitted, as arrays; never changed afterwards."""

    mean: Stack  # `[d]`
    axes: Stack  # `[d, k]`, the principal ones
    variances: Stack  # `[k]`, of these
    usual: Stack  # `[2]`: mean squared error and mean T2 of the sample
    weights: Stack  # `[4 d + 1, d]`, of the regression
    residual: Stack  # `[2, d]`, location and scale of its residuals
    centres: Stack  # `[20, 4 d]`
    forest: Forest
    tails: Floats  # `[2, models]`: edge and mean excess of log raw scores

    def score(self, stack: Stack) -> Floats:
        """How far in the tail each model sees each row: `[m, models]`; below 0 is not in it."""
        return np.asarray((np.log(self._raw(stack) + _EPSILON) - self.tails[0]) / self.tails[1])

    def contributions(self, stack: Stack, top: int = 3) -> tuple[Ints, Floats]:
        """The features that did it: numbers and shares of the whole, both `[m, top]`, largest first."""
        parts = (np.abs(stack[:, 0]), np.abs(self._residual(stack)), np.abs(self._error(stack)))
        share = np.mean([_shares(part) for part in parts], axis=0)
        order = np.argsort(-share, axis=1, kind="stable")[:, :top]
        return order, np.take_along_axis(share, order, axis=1)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything by name, to be saved."""
        own = {name: value for name, value in self._asdict().items() if name != "forest"}
        return own | {f"forest_{name}": value for name, value in self.forest._asdict().items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Models:
        """What `arrays` gave. Raises KeyError if something is missing."""
        forest = Forest(*(arrays[f"forest_{name}"] for name in Forest._fields))  # type: ignore[arg-type]
        own = {name: arrays[name] for name in cls._fields if name != "forest"}
        return cls(forest=forest, **own)  # type: ignore[arg-type]

    def _raw(self, stack: Stack) -> Floats:
        if not len(stack):
            return np.empty((0, len(MODELS)))
        newest = stack[:, 0] - self.mean
        along = newest @ self.axes
        error = ((newest - along @ self.axes.T) ** 2).sum(axis=1) / self.usual[0]
        inside = (along**2 / self.variances).sum(axis=1) / self.usual[1]
        return np.stack(
            (
                _top(stack[:, 0]),
                error + inside,
                _top(self._residual(stack)),
                _nearest(_lagged(stack, _KMEANS_LAGS), self.centres),
                self.forest.score(_window(stack)),
            ),
            axis=1,
        ).astype(np.float64)

    def _residual(self, stack: Stack) -> Stack:
        expected = _lagged(stack, _VAR_LAGS) @ self.weights[:-1] + self.weights[-1]
        return np.asarray((stack[:, 0] - expected - self.residual[0]) / self.residual[1])

    def _error(self, stack: Stack) -> Stack:
        newest = stack[:, 0] - self.mean
        return np.asarray(newest - newest @ self.axes @ self.axes.T)


def fit(sample: Stack, seed: int, trees: int = 64) -> Models:
    """The models of a sample `[n, RING, d]` of normal behaviour, at least 64 rows; takes 0.3-1 s.

    Sources: principal components with squared prediction error and T2 (Jackson and Mudholkar 1979); ridge
    regression on lags; k-means distance (Yairi 2001, KMeansAD); isolation forest (Liu 2008) on mean, spread
    and newest value of the ring; mean of the largest deviations.
    """
    sample = np.ascontiguousarray(sample, np.float32)
    mean, axes, variances = _principal(sample[:, 0])
    weights = _regression(sample)
    blank = Models(
        mean, axes, variances, np.ones(2, np.float32), weights,
        np.stack((np.zeros_like(mean), np.ones_like(mean))),
        _clusters(_lagged(sample, _KMEANS_LAGS), seed),
        grow(_window(sample), trees, seed),
        np.stack((np.zeros(len(MODELS)), np.ones(len(MODELS)))),
    )  # fmt: skip
    residual = blank._residual(sample)
    middle = np.median(residual, axis=0)
    wide = 1.4826 * np.median(np.abs(residual - middle), axis=0)
    wide = np.maximum(wide, 0.25 * residual.std(axis=0)) + _EPSILON
    along = (sample[:, 0] - mean) @ axes
    usual = np.array(
        [(blank._error(sample) ** 2).sum(axis=1).mean(), (along**2 / variances).sum(axis=1).mean()]
    )
    blank = blank._replace(
        residual=np.stack((middle, wide)).astype(np.float32),
        usual=np.maximum(usual, 1e-6).astype(np.float32),
    )
    raw = np.log(blank._raw(sample) + _EPSILON)
    edge = np.quantile(raw, 1.0 - TAIL, axis=0)
    over = np.where(raw > edge, raw - edge, np.nan)
    excess = np.nansum(over, axis=0) / np.maximum((raw > edge).sum(axis=0), 1)
    return blank._replace(tails=np.stack((edge, np.maximum(excess, 1e-3))))


def _principal(rows: Stack) -> tuple[Stack, Stack, Stack]:
    mean = rows.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov((rows - mean).T).reshape(rows.shape[1], -1))
    values, vectors = values[::-1], vectors[:, ::-1]
    total = max(float(values.sum()), 1e-9)
    kept = int(np.searchsorted(np.cumsum(values) / total, _VARIANCE)) + 1
    kept = max(1, min(kept, len(values) - 1))
    return (
        mean.astype(np.float32),
        np.ascontiguousarray(vectors[:, :kept], np.float32),
        np.maximum(values[:kept], 1e-6).astype(np.float32),
    )


def _regression(sample: Stack) -> Stack:
    past = _lagged(sample, _VAR_LAGS).astype(np.float64)
    past = np.concatenate((past, np.ones((len(past), 1))), axis=1)
    gram = past.T @ past + _RIDGE * len(past) * np.eye(past.shape[1])
    return np.linalg.solve(gram, past.T @ sample[:, 0].astype(np.float64)).astype(np.float32)


def _clusters(rows: Stack, seed: int) -> Stack:
    from sklearn.cluster import KMeans

    found = KMeans(min(_CLUSTERS, len(rows)), n_init=1, random_state=seed).fit(rows)
    return np.asarray(found.cluster_centers_, np.float32)


def _lagged(stack: Stack, lags: tuple[int, ...]) -> Stack:
    return stack[:, lags, :].reshape(len(stack), len(lags) * stack.shape[2])


def _window(stack: Stack) -> Stack:
    mean = stack.mean(axis=1)
    return np.concatenate((mean, stack.std(axis=1), stack[:, 0]), axis=1)


def _nearest(rows: Stack, centres: Stack) -> Floats:
    """Distance of each row to the nearest centre."""
    squares = (rows**2).sum(axis=1)[:, None] - 2.0 * rows @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))


def _shares(part: Stack) -> Floats:
    return np.asarray(part / np.maximum(part.sum(axis=1, keepdims=True), 1e-9), np.float64)


def _top(rows: Stack) -> Floats:
    return np.asarray(_tops(rows, min(5, max(1, rows.shape[1] // 3))))


@compiled()
def _tops(rows, most):  # type: ignore[no-untyped-def]
    out = np.empty(len(rows))
    for row in range(len(rows)):
        out[row] = top_of(np.abs(rows[row]), most)
    return out
