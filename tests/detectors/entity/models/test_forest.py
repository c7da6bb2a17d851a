"""The flat forest scores as scikit-learn's does."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest

from detectors.entity.models.forest import grow


def test_scores_are_those_of_scikit_learn() -> None:
    noise = np.random.default_rng(0)
    rows = noise.normal(size=(300, 5)).astype(np.float32)
    rows[::3, 2] = 0.0
    asked = (3 * noise.normal(size=(500, 5))).astype(np.float32)
    theirs = IsolationForest(n_estimators=8, max_samples=256, random_state=3, n_jobs=1).fit(rows)
    np.testing.assert_allclose(grow(rows, 8, 3).score(asked), -theirs.score_samples(asked), atol=1e-9)
