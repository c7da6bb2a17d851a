"""The series that detectors and people's feedback make, and what each of them means."""

from __future__ import annotations

from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, PEER_DEVIATION, SCORE, TREND_ETA
from detectors.entity.state import CONTRIBUTION
from detectors.feedback.book import WEIGHT
from model.metric import Metric

_OF_SERIES = ("those of the source", "metric", "detector")

RESULTS: tuple[Metric, ...] = (
    Metric(
        SCORE,
        "gauge",
        "How unusual it is; above 1 is rarer than the detector's budget of false alarms. Of a series "
        "(level, cusum, detectors of libraries).",
        _OF_SERIES,
    ),
    Metric(
        SCORE,
        "gauge",
        "The same of a GPU, an engine or a node as a whole (state, change, detectors of libraries).",
        ("those of the entity", "entity", "detector"),
    ),
    Metric(
        CONTRIBUTION,
        "gauge",
        "The share of a feature in the deviation of an entity, 0 to 1, of the top three while its state is "
        "above 1.",
        ("those of the entity", "entity", "metric", "detector"),
    ),
    Metric(EXPECTED_LOW, "gauge", "Below it a single value has a score above 1.", _OF_SERIES),
    Metric(EXPECTED_HIGH, "gauge", "Above it a single value has a score above 1.", _OF_SERIES),
    Metric(
        PEER_DEVIATION,
        "gauge",
        "How far it is from its peers, with a sign; beyond -1 or 1 it is none of them any more.",
        _OF_SERIES,
    ),
    Metric(
        TREND_ETA,
        "gauge",
        "Seconds until its trend arrives at a limit; absent while there is no trend.",
        (*_OF_SERIES, "trend"),
    ),
    Metric(
        WEIGHT,
        "gauge",
        "What people have said of a score: 1 as it is, less for noise. It is never part of the score.",
        ("those of the score",),
    ),
)
"""Those of series are made for the metrics that a rule or a query names; the rest, always."""
