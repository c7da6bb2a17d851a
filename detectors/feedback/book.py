"""All that people said of anomalies, and the series of weights that follows.

The weight stands beside the score and is never part of it: a rule asks for both, or for the score alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from detectors.contract import PEER_DEVIATION, SCORE
from detectors.feedback.mark import NOISE, Mark, weight_of
from detectors.feedback.tables import kept_marks
from model.decision import Decision, allow, refuse
from model.labels import NAME, Labels, format_labels
from model.matcher import Matcher, Op
from model.metric import Metric, Sample
from model.moment import SECOND
from telemetry.window import LimitExceeded, Window

WEIGHT = "fleetowl_anomaly_weight"
MOST_AT_ONCE = 100
"""So many series one answer may be about: whoever means more should write a rule."""
MOST = 10_000
"""So many marks are kept; undone ones give way first."""
EVERY = 15 * SECOND
_TARGET = "fleetowl feedback"
_RULES = frozenset({"alertname", "tier", "severity", "kind", NAME})
METRICS = (
    Metric(
        "fleetowl_feedback_marks",
        "gauge",
        "What people said of anomalies, as far as it counts.",
        ("verdict",),
    ),
    Metric("fleetowl_feedback_weighted_series", "gauge", "Anomaly series whose weight is below 1."),
    Metric(
        "fleetowl_feedback_refused_total", "counter", "Weights that the window did not take: it has no room."
    ),
)
log = logging.getLogger("fleetowl.detectors")


class Feedback:
    """The marks by id and by series; implements Durable."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._marks = kept_marks()
        self._of: dict[Labels, list[int]] = {}
        self._next = 1
        self._written_at = 0
        self._changed = True
        self._told: set[Labels] = set()  # weights that are series now
        self._refused = 0

    def find(self, matchers: Iterable[Matcher]) -> list[Labels]:
        """The anomaly series that these select, without their names. Raises InvalidMatcher."""
        name = Matcher(NAME, Op.MATCHES, f"{SCORE}|{PEER_DEVIATION}")
        ids, labels = self._window.search([name, *matchers])
        return sorted({labels[sid].without(NAME) for sid in ids.tolist()})

    def behind(self, alert: Mapping[str, str]) -> list[Labels]:
        """The anomaly series that an alert of these labels is about: they agree where both say something."""
        own = {name: value for name, value in alert.items() if name not in _RULES}
        exact = [Matcher(name, Op.EQUAL, own[name]) for name in ("metric", "detector") if name in own]
        if not exact:
            return []
        return [labels for labels in self.find(exact) if _agree(labels, own)]

    def marked(self, series: list[Labels], verdict: str, who: str, now: int, why: str = "") -> Decision:
        """Note of each of these series what `who` says of it."""
        if not series:
            return refuse("there is no such anomaly series: see fleetowl_anomaly_score in /api/v1/series")
        if len(series) > MOST_AT_ONCE:
            return refuse(
                f"that are {len(series)} series, more than {MOST_AT_ONCE}: name them more closely, "
                "or change the rule"
            )
        self._make_room(len(series))
        if len(self._marks) + len(series) > MOST:
            return refuse(f"{MOST} marks are kept already: undo some first")
        before, batch = [self.weight(labels) for labels in series], self._next
        for labels in series:
            self._put(Mark(self._next, labels, verdict, who, now, why, batch=batch))
        what = format_labels(series[0]) if len(series) == 1 else f"{len(series)} anomaly series"
        after = [self.weight(labels) for labels in series]
        said = f"{who} marked {what} as {verdict}: weight {_span(sorted(set(after)))}"
        return allow(said if after != before else f"{said}, as before: more of this changes nothing")

    def batch(self, id: int) -> list[Mark]:
        """The marks that were made at once, the first of which has this id."""
        return [mark for _, mark in sorted(self._marks.items()) if mark.batch == id]

    def undo_batch(self, id: int, who: str, now: int) -> Decision:
        """Take all marks back that were made at once and still count."""
        marks = self.batch(id)
        if not marks:
            return refuse(f"there is no batch {id} of feedback")
        counting = [mark for mark in marks if mark.counts]
        if not counting:
            return refuse(f"batch {id} of feedback was undone already")
        for mark in counting:
            self.undo(mark.id, who, now)
        return allow(f"{who} took batch {id} of feedback back: {len(counting)} marks")

    def undo(self, id: int, who: str, now: int) -> Decision:
        """Take one mark back; it stays to be seen."""
        mark = self._marks.get(id)
        if mark is None:
            return refuse(f"there is no feedback {id}")
        if not mark.counts:
            return refuse(f"feedback {id} was undone by {mark.undone_by} already")
        self._marks[id] = replace(mark, undone_at=now, undone_by=who)
        self._changed = True
        weight = self.weight(mark.labels)
        return allow(f"{who} took feedback {id} back: weight of {format_labels(mark.labels)} is {weight:g}")

    def weight(self, labels: Labels) -> float:
        """The weight of a series, without its name; 1 where nobody said anything."""
        return weight_of(self._marks[id] for id in self._of.get(labels, ()))

    def marks(self, *, undone: bool = False) -> list[Mark]:
        """What was said, the newest first; what was taken back only if asked for."""
        return [mark for _, mark in sorted(self._marks.items(), reverse=True) if undone or mark.counts]

    def step(self, now: int) -> None:
        """Write the weights, each time they change and every 15 s; those that are gone end."""
        if not self._changed and 0 <= now - self._written_at < EVERY:
            return
        self._changed, self._written_at = False, now
        weights = {
            labels: self.weight(labels)
            for labels, ids in self._of.items()
            if any(self._marks[id].counts for id in ids)
        }
        if weights:
            self._write(weights, now)
        self._end(self._told - weights.keys(), now)
        self._told = set(weights)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        counting = [mark for mark in self._marks.values() if mark.counts]
        noise = sum(mark.verdict == NOISE for mark in counting)
        yield Sample("fleetowl_feedback_marks", {"verdict": "noise"}, noise)
        yield Sample("fleetowl_feedback_marks", {"verdict": "real"}, len(counting) - noise)
        low = sum(self.weight(labels) < 1 for labels in self._of)
        yield Sample("fleetowl_feedback_weighted_series", {}, low)
        yield Sample("fleetowl_feedback_refused_total", {}, self._refused)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._marks.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over what people said."""
        self._marks.load(tx)
        self._of = {}
        for id, mark in sorted(self._marks.items()):
            self._of.setdefault(mark.labels, []).append(id)
            self._next = id + 1
        self._told = {
            labels for labels in self._of if self._window.find(labels.merged({NAME: WEIGHT})) is not None
        }
        self._changed = True

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._marks.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._marks.saved()

    def _put(self, mark: Mark) -> None:
        self._marks[mark.id] = mark
        self._of.setdefault(mark.labels, []).append(mark.id)
        self._next += 1
        self._changed = True

    def _make_room(self, more: int) -> None:
        """Forget the oldest of those that were undone."""
        over = len(self._marks) + more - MOST
        for id in [id for id in sorted(self._marks) if not self._marks[id].counts][: max(over, 0)]:
            labels = self._marks[id].labels
            del self._marks[id]
            self._of[labels].remove(id)
            if not self._of[labels]:
                del self._of[labels]

    def _write(self, weights: Mapping[Labels, float], now: int) -> None:
        ids, values = [], []
        try:
            target = self._window.target(_TARGET, 0)
            for labels, weight in weights.items():
                ids.append(self._window.series(target, labels.merged({NAME: WEIGHT}), "gauge"))
                values.append(weight)
        except LimitExceeded as error:
            if not self._refused:
                log.warning("not all weights of feedback are series, those count as 1: %s", error)
            self._refused += 1
        at = np.full(len(ids), now)
        self._window.append_beside(at, np.array(ids, np.int64), np.array(values, np.float64))

    def _end(self, gone: Iterable[Labels], now: int) -> None:
        found = [self._window.find(labels.merged({NAME: WEIGHT})) for labels in gone]
        ids = [sid for sid in found if sid is not None]
        if ids:
            self._window.mark_stale(self._window.target(_TARGET, 0), now, np.array(ids))


def _agree(series: Labels, alert: Mapping[str, str]) -> bool:
    both = [name for name in series if name in alert]
    told_apart = set(both) - {"metric", "detector", "job"}
    return bool(told_apart) and all(series[name] == alert[name] for name in both)


def _span(weights: list[float]) -> str:
    return f"{weights[0]:g}" if len(weights) == 1 else f"{weights[0]:g} to {weights[-1]:g}"
