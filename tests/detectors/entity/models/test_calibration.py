"""Several models that agree a little make a change more than one that is loud."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.entity.models import calibration
from detectors.entity.models.fit import MODELS
from detectors.entity.settings import EntitySettings
from model.moment import MINUTE
from telemetry.bits import Floats


def judged(depths: Floats, *, held: bool, rows: int = 12) -> Floats:
    """State and change of an entity after as many rows that the models see like that, `[2]`."""
    params = calibration.params_of(EntitySettings(), MINUTE)
    own, out = calibration.blank(1, params), np.full((rows, 2), np.nan)
    calibration.judge(
        np.tile(depths, (rows, 1)),
        np.zeros(rows),
        np.full(rows, 10_000),
        np.zeros(rows, np.int64),
        np.full(rows, held),
        own,
        params,
        out,
        np.ones(rows, np.bool_),
    )
    return np.asarray(out[-1])


def test_agreement_counts_for_more_than_one_loud_voice() -> None:
    params = calibration.params_of(EntitySettings(), MINUTE)
    own, width = calibration.blank(1, params)[0], len(MODELS)
    loud, agreed = np.full(width, -1.0), np.full(width, 1.8)
    loud[0] = 9.0
    of_state = [calibration._excess(own, 0, width, seen, calibration._PLAIN) for seen in (loud, agreed)]
    of_change = [calibration._excess(own, 0, width, seen, calibration._AGREED) for seen in (loud, agreed)]
    assert of_state == pytest.approx([1.8, 1.8])
    assert of_change[0] < 0.6 * of_change[1]


def test_of_what_is_held_nothing_is_said() -> None:
    loud = np.full(len(MODELS), 9.0)
    assert np.isnan(judged(loud, held=True)).all()
    assert (judged(loud, held=False) > 0.1).all()
