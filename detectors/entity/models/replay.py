"""A history and what follows it, through an ensemble as production would have seen them."""

from __future__ import annotations

from detectors.entity.models.ensemble import Ensemble, Verdict, joined
from detectors.entity.settings import EntitySettings
from telemetry.bits import Floats

_DAY = 86_400_000  # ms
_TUNED = 3  # days at the end of the history with which the scores are calibrated


def replay(
    train: Floats, test: Floats, interval: int, settings: EntitySettings | None = None, seed: int = 0
) -> Verdict:
    """The scores of `test` `[n, d]` of one entity after its history `train`, a row every `interval` ms.

    The models are fitted first on all of the history but its last days, then again when they are due, as the
    test goes on; every row is scored by what was known before it.
    """
    ensemble = Ensemble(train.shape[1], interval, settings, seed)
    tuned = min(len(train) // 4, _TUNED * _DAY // interval)
    ensemble.run(train[: len(train) - tuned])
    ensemble.adopt(ensemble.job()())
    _stream(ensemble, train[len(train) - tuned :])
    ensemble.adopt(ensemble.job()())
    return _stream(ensemble, test)


def _stream(ensemble: Ensemble, rows: Floats) -> Verdict:
    """All rows, with a fit whenever one is due."""
    found, piece = [], max(1, min(512, ensemble.refit_rows))
    for start in range(0, len(rows), piece):
        found.append(ensemble.run(rows[start : start + piece]))
        if ensemble.due():
            ensemble.adopt(ensemble.job()())
    return joined(found)
