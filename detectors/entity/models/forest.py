"""Isolation forest: scikit-learn grows it, flat arrays hold it, so that it is saved and walked as such."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from telemetry.bits import Floats, Ints

Nodes = NDArray[np.int32]

_ROWS = 256  # a tree is grown on; Liu, Ting and Zhou, "Isolation forest" (2008)


class Forest(NamedTuple):
    """All nodes of all trees: `feature` is -1 at a leaf, where `limit` is the length of the path to it."""

    feature: Nodes
    limit: Floats
    left: Nodes
    right: Nodes
    roots: Nodes
    usual: Floats  # `[1]`: the mean path length of a tree's sample

    def score(self, rows: NDArray[np.float32]) -> Floats:
        """Anomaly score in (0, 1) of `[m, d]` rows; it is `-IsolationForest.score_samples`."""
        depth = np.empty(len(rows))
        _walk(rows, self.feature, self.limit, self.left, self.right, self.roots, depth)
        return np.asarray(2.0 ** (-depth / (len(self.roots) * self.usual[0])))


def grow(rows: NDArray[np.float32], trees: int, seed: int) -> Forest:
    """A forest on `[n, d]` rows; takes 0.2 s, and the first time scikit-learn's import."""
    from sklearn.ensemble import IsolationForest

    grown = IsolationForest(
        n_estimators=trees, max_samples=min(_ROWS, len(rows)), random_state=seed, n_jobs=1
    ).fit(rows)
    feature, limit, left, right, roots = [], [], [], [], []
    offset = 0
    for estimator in grown.estimators_:
        tree = estimator.tree_
        leaf = tree.children_left < 0
        length = _depths(tree.children_left, tree.children_right) + _usual(tree.n_node_samples)
        roots.append(offset)
        feature.append(np.where(leaf, -1, tree.feature))
        limit.append(np.where(leaf, length, tree.threshold))
        left.append(np.where(leaf, 0, tree.children_left + offset))
        right.append(np.where(leaf, 0, tree.children_right + offset))
        offset += tree.node_count
    nodes = (np.concatenate(part).astype(np.int32) for part in (feature, left, right))
    features, lefts, rights = nodes
    usual = _usual(np.array([grown.max_samples_]))
    return Forest(features, np.concatenate(limit), lefts, rights, np.array(roots, np.int32), usual)


def _usual(rows: Ints) -> Floats:
    """Mean path length of an unsuccessful search in a tree of so many rows (the paper's c(n))."""
    many = np.maximum(rows, 3).astype(np.float64)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, length))


def _depths(left: Ints, right: Ints) -> Floats:
    """Edges from the root to each node; children have higher numbers than their parents."""
    depth = np.zeros(len(left))
    for node in np.flatnonzero(left >= 0):
        depth[left[node]] = depth[right[node]] = depth[node] + 1.0
    return depth


@compiled()
def _walk(rows, feature, limit, left, right, roots, depth):  # type: ignore[no-untyped-def]
    depth[:] = 0.0
    for root in roots:  # tree by tree: one tree stays in the cache
        for row in range(len(rows)):
            node = root
            while feature[node] >= 0:
                node = left[node] if rows[row, feature[node]] <= limit[node] else right[node]
            depth[row] += limit[node]
