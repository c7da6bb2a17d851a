"""The level of a score of 1 is as rare as the budget says, and no single alarm moves it far."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.entity.models import maxima
from telemetry.bits import Floats

PRIOR = 1.0


def learned(heights: Floats, budget: float) -> Floats:
    nats = maxima.nats_of(budget)
    held = np.array([0.25, 0.2, PRIOR])
    for place, height in enumerate(heights):
        maxima.learn(held, height, PRIOR, nats, float(place), 240.0)
    return held


@pytest.mark.parametrize("budget", [0.05, 0.2, 1.0])
def test_blocks_exceed_the_level_as_often_as_the_budget_says(budget: float) -> None:
    heights = np.random.default_rng(1).gumbel(0.4, 0.2, 4000)
    level = learned(heights[:1000], budget)[2]
    per_day = (heights > level).mean() * 4
    assert budget / 2 < per_day < budget * 2


def test_an_alarm_counts_as_if_it_had_only_just_been_one() -> None:
    heights = np.random.default_rng(2).gumbel(0.4, 0.2, 60)
    calm = learned(heights, 0.02)[2]
    heights[30] = 1000.0
    assert learned(heights, 0.02)[2] < 1.25 * calm


def test_the_level_of_an_entity_that_never_stirs_stays_above_nothing() -> None:
    assert learned(np.zeros(500), 0.02)[2] == PRIOR / 4
