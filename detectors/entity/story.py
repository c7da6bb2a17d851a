"""What is known of one entity, for people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors.entity.models.fit import MODELS
from detectors.entity.pool import SHOWN, Pool
from detectors.explanation import Contributor, Explanation


def story_of(pool: Pool, number: int) -> Explanation:
    """The newest row of an entity of a pool, explained."""
    scores = dict(zip(("state", "change"), pool.scores[number].tolist(), strict=True))
    models = dict(zip(MODELS, pool.depths[number].tolist(), strict=True))
    contributors = list(_contributors(pool, number)) if pool.ensemble.models is not None else []
    return Explanation(pool.kind.name, int(pool.last[number]), scores, models, contributors)


def _contributors(pool: Pool, number: int) -> Iterator[Contributor]:
    one = np.array([number])
    shares, row = pool.shares(one)[0], pool.row[number]
    centre, scale = (column[0] for column in pool.ensemble.usual(one))
    for place in np.argsort(-shares, kind="stable")[:SHOWN].tolist():
        feature, value, usual = pool.kind.features[place], float(row[place]), float(centre[place])
        if not np.isnan(value):
            deviations = (value - usual) / float(scale[place])
            yield Contributor(feature.name, feature.why, float(shares[place]), value, usual, deviations)
