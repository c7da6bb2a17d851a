"""Detectors of river and pyod with their default settings, on the same rows and held to the same threshold.

Neither library says which score is an alarm (pyod's default contamination would call a tenth of everything
one), so a rival's scores are divided by the 99.9 % quantile of its scores on the rows it learned from: fixed
before anything is judged, as a user would do. River's detectors handle a row in about 0.3 ms with 38
metrics; over machines they see every fifth row and hold their score in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from telemetry.bits import Floats

LAGS = 8
"""Values that a rival for rows sees of a single series."""
STRIDE = 5
_LEARNED = 2_000  # rows of a machine's train part that river's detectors see
_FITTED = 8_000  # and pyod's
_QUANTILE = 0.999

PYOD = ("ECOD", "HBOS", "COPOD", "PCA", "IForest")
RIVER = ("HalfSpaceTrees", "OneClassSVM", "GaussianScorer")
SEEDED = ("IForest", "HalfSpaceTrees")


def name_of(rival: str) -> str:
    """The rival with its library, as tables name it."""
    return f"pyod {rival}" if rival in PYOD else f"river {rival}"


def over_series(rival: str, values: Floats, learned: int, seed: int) -> Floats:
    """Scores of one series `[n]` whose first `learned` rows calibrate; river's learn on as they go."""
    rows = _lagged(_filled(values))
    if rival == "GaussianScorer":
        scores = _gaussian(rows[:, 0])
    elif rival in PYOD:
        scores = _fitted(rival, rows[:learned], rows, seed)
    else:
        scores = _streamed(_pipeline(rival, seed), rows)
    scores[:LAGS] = np.nan
    return scores / _unit(scores[LAGS:learned])


def over_machine(rival: str, train: Floats, test: Floats, seed: int) -> Floats:
    """Scores of the test rows `[m]` after learning from the train rows `[n, d]`.

    Columns that never change in train are left out, by which pyod's PCA would divide.
    """
    moving = np.ptp(train, axis=0) > 0
    moving |= not moving.any()
    train, test = train[:, moving], test[:, moving]
    if rival in PYOD:
        shown = train[:: max(1, len(train) // _FITTED)]
        scores = _fitted(rival, shown, np.concatenate([shown, test]), seed)
        return scores[len(shown) :] / _unit(scores[: len(shown)])
    shown = train[::STRIDE][-_LEARNED:]
    seen = test[::STRIDE]
    scores = _streamed(_pipeline(rival, seed), np.concatenate([shown, seen]))
    unit = _unit(scores[len(shown) // 2 : len(shown)])
    return np.repeat(scores[len(shown) :], STRIDE)[: len(test)] / unit


def _unit(scores: Floats) -> float:
    known = scores[np.isfinite(scores)]
    return max(float(np.quantile(known, _QUANTILE)), 1e-9) if len(known) else 1.0


def _filled(values: Floats) -> Floats:
    """Gaps hold the value before them: neither library takes NaN."""
    known = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return np.nan_to_num(values[known])


def _lagged(values: Floats) -> Floats:
    padded = np.concatenate([np.full(LAGS - 1, values[0]), values])
    return np.lib.stride_tricks.sliding_window_view(padded, LAGS)[:, ::-1].copy()


def _fitted(rival: str, train: Floats, rows: Floats, seed: int) -> Floats:
    import importlib
    import warnings

    module = importlib.import_module(f"pyod.models.{rival.lower()}")
    build: Callable[..., Any] = getattr(module, rival)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of constant columns; the rival is taken as it is
        detector = build(random_state=seed) if rival in SEEDED else build()
        detector.fit(train)
        scores = np.asarray(detector.decision_function(rows), np.float64)
    known = scores[np.isfinite(scores)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    return np.nan_to_num(scores, nan=low, posinf=high, neginf=low) - low


def _built(kind: Callable[..., Any]) -> Any:
    return kind()


def _pipeline(rival: str, seed: int) -> Any:
    from river import anomaly, preprocessing

    if rival == "HalfSpaceTrees":
        return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=seed)
    return preprocessing.StandardScaler() | anomaly.OneClassSVM()


def _streamed(detector: Any, rows: Floats) -> Floats:
    """Score each row, then learn it."""
    return np.fromiter(_one_by_one(detector, rows), np.float64, len(rows))


def _one_by_one(detector: Any, rows: Floats) -> Iterable[float]:
    for row in rows.tolist():
        named = dict(enumerate(row))
        yield float(detector.score_one(named))
        detector.learn_one(named)


def _gaussian(values: Floats) -> Floats:
    from river import anomaly

    detector: Any = _built(anomaly.GaussianScorer)
    scores = np.empty(len(values))
    for place, value in enumerate(values.tolist()):
        # How improbable rather than how probable what is nearer the mean is: 0.999 and 0.9999 differ.
        scores[place] = -np.log10(max(1.0 - float(detector.score_one(None, value)), 1e-300))
        detector.learn_one(None, value)
    return scores
