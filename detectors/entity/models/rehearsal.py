"""A rehearsal: what the models compile is compiled before it matters. scikit-learn is left to the fits."""

from __future__ import annotations

from functools import cache

import numpy as np

from detectors.entity.models.baseline import RING
from detectors.entity.models.ensemble import Ensemble
from detectors.entity.models.fit import MODELS, Models
from detectors.entity.models.forest import Forest
from detectors.entity.settings import EntitySettings
from model.moment import SECOND

_WIDTH, _ENTITIES = 4, 2


@cache
def rehearse() -> None:
    """Judge some rows by models that know nothing."""
    ensemble = Ensemble(_WIDTH, SECOND, EntitySettings(sample=256))
    ensemble.adopt(_blank())
    for _ in range(RING + 2):
        ensemble.step(np.zeros((_ENTITIES, _WIDTH)), np.arange(_ENTITIES))
    ensemble.contributions(np.arange(_ENTITIES))
    ensemble.job()


def _blank() -> Models:
    ones, zeros = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)
    node, root = np.full(1, -1, np.int32), np.zeros(1, np.int32)
    return Models(
        zeros,
        np.ones((_WIDTH, 1), np.float32),
        np.ones(1, np.float32),
        np.ones(2, np.float32),
        np.zeros((4 * _WIDTH + 1, _WIDTH), np.float32),
        np.stack((zeros, ones)),
        np.zeros((1, 4 * _WIDTH), np.float32),
        Forest(node, np.ones(1), root, root, root, np.ones(1)),
        np.stack((np.zeros(len(MODELS)), np.ones(len(MODELS)))),
    )
