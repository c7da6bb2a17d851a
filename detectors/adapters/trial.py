"""A detector of a library tried once, when it is configured, for it says late what it dislikes.

A constructor that takes every argument is common; only a fit or a score shows that one cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.adapters import library
from detectors.adapters.library import Way
from telemetry.bits import Floats

_ROWS = 64
_ASKED = 8
"""So many rows a detector of river is asked about: each learns from every one."""


def try_out(path: str, arguments: Mapping[str, Any], width: int) -> None:
    """Build it and have it judge random rows of `width` features between 0 and 1.

    Raises ValueError with the arguments and the library's words where it does not.
    """
    model = library.built(path, arguments, 0)
    rows = np.random.default_rng(0).uniform(size=(_ROWS, width))
    try:
        with np.errstate(all="ignore"):
            _judge(library.way_of(path), model, rows)
    # Whatever a library raises here, it would raise at every fit.
    except Exception as error:
        given = ", ".join(f"{name}: {value!r}" for name, value in arguments.items())
        said = " ".join(str(error).split())
        raise ValueError(
            f"{path} with {given or 'its defaults'} cannot judge random rows of {width} features: "
            f"{type(error).__name__}: {said}"
        ) from error


def ask(way: Way, model: Any, row: Floats) -> float:
    """The score of a row by a detector of river, which then learns from it; 2 at a drift, else 0."""
    newest = float(row[-1])
    if way is Way.DRIFT:
        model.update(newest)
        return _DRIFTED if model.drift_detected else 0.0
    if way is Way.OF_VALUE:
        score = model.score_one({}, newest)
        model.learn_one({}, newest)
        return float(score)
    features = dict(enumerate(row.tolist()))
    score = model.score_one(features)
    model.learn_one(features)
    return float(score)


_DRIFTED = 2.0


def _judge(way: Way, model: Any, rows: Floats) -> None:
    if way is Way.ROWS:
        model.fit(rows)
        model.decision_function(rows[:2])
        return
    for row in rows[_ASKED:]:
        _learn(way, model, row)
    for row in rows[:_ASKED]:
        ask(way, model, row)


def _learn(way: Way, model: Any, row: Floats) -> None:
    """Some forecast only after a few values: these are not asked yet."""
    if way is Way.DRIFT:
        model.update(float(row[-1]))
    elif way is Way.OF_VALUE:
        model.learn_one({}, float(row[-1]))
    else:
        model.learn_one(dict(enumerate(row.tolist())))
