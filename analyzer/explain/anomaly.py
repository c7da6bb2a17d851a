"""What is unusual about the GPU, engine or node that an alert is about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analyzer.pipeline import Pipeline
from detectors.explanation import Contributor, Explanation
from model.labels import Labels
from model.moment import format_moment


def anomaly_document(pipeline: Pipeline, labels: Labels) -> dict[str, Any] | None:
    """As JSON; None for an alert that is not about an entity which the detectors know."""
    found = pipeline.scoring.explain(labels)
    if found is None:
        return None
    return {
        "sentence": sentence_of(found),
        "entity": found.kind,
        "at": format_moment(found.at),
        "scores": _known(found.scores),
        "models": _known(found.models),
        "contributors": [
            {
                "metric": one.feature,
                "why": one.why,
                "share": round(one.share, 3),
                "value": one.value,
                "usual": one.usual,
                "deviations": round(one.deviations, 1),
            }
            for one in found.contributors
        ],
    }


def sentence_of(explanation: Explanation) -> str:
    """The most unusual metrics, as one sentence.

    >>> hot = Contributor("GPU_TEMP", "", 0.6, 91.0, 64.0, 9.2)
    >>> sentence_of(Explanation("gpu", 0, {"state": 3.4, "change": float("nan")}, {}, [hot]))
    'What is most unusual about this gpu (state 3.4): GPU_TEMP is 91, usually 64 (9.2 deviations above).'
    """
    scores = ", ".join(f"{name} {_number(score)}" for name, score in _known(explanation.scores).items())
    if not scores:
        return f"This {explanation.kind} is not known well enough yet to say what is unusual about it."
    told = "; ".join(map(_told, explanation.contributors)) or "no single metric"
    return f"What is most unusual about this {explanation.kind} ({scores}): {told}."


def _told(one: Contributor) -> str:
    side = "above" if one.deviations > 0 else "below"
    far = f"{_number(abs(one.deviations))} deviations {side}"
    return f"{one.feature} is {_number(one.value)}, usually {_number(one.usual)} ({far})"


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items() if not math.isnan(value)}


def _number(value: float) -> str:
    """Three digits say enough; large numbers are written out.

    >>> _number(1005.4), _number(0.03217), _number(6.1e10)
    ('1005', '0.0322', '61000000000')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"
