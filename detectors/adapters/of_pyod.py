"""The adapter for pyod: a model for each metric, fitted now and then on rows of its recent history."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.adapters.custom import Custom
from detectors.adapters.settings import CustomSettings
from detectors.contract import Moment, MomentDetector, Results, State, nothing
from detectors.jobs import Job
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap

_LEAST = 64
"""Rows before the first fit."""
_MEMORY = 8
"""A new row takes the place of an old one with at least the likelihood 1 / this: the old ones fade."""


class Metric:
    """The rows of one metric that a model is fitted on, and the model."""

    def __init__(self, sample: int, lags: int) -> None:
        self.rows: Floats = np.full((sample, lags), np.nan)
        self.seen = 0
        self.fitted: Floats = np.empty((0, lags))
        self.fitted_at = 0  # ms
        self.asked_at = 0  # ms, for a fit
        self.waits = False  # for its answer
        self.model: Any = None

    def sample(self) -> Floats:
        """The rows that there are, a copy."""
        return self.rows[: min(self.seen, len(self.rows))].copy()

    def answered(self, rows: Floats, model: Any) -> None:
        """A model fitted on these rows takes over."""
        self.fitted, self.fitted_at, self.model, self.waits = rows, self.asked_at, model, False

    def gave_up(self) -> None:
        """The model before stays."""
        self.waits = False

    def take(self, rows: Floats, random: np.random.Generator) -> None:
        """Keep new rows, each in place of one that chance names."""
        size = len(self.rows)
        for row in rows:
            place = self.seen
            if place >= size:
                place = int(random.integers(0, min(self.seen, _MEMORY * size)))
            if place < size:
                self.rows[place] = row
            self.seen += 1


class PyodDetector(Custom, MomentDetector):
    """Any detector of pyod, one model a metric, asked at each moment for the rows of all its series at once.

    A row holds the last `lags` values of a series, each on a scale from 0 to 1 that fits the series: so the
    series of a metric are alike, and one model knows them all. It is fitted on `sample` rows, which chance
    takes from the recent ones, every `refit_interval`. The scores are calibrated (`tail.Tail`).

    Some detectors of pyod (ECOD, COPOD) judge rows by the rows that are asked about along with them. So the
    rows of one moment are asked about together, and in one order: at any cadence the scores are the same.

    When it fails: as the pyod detector does; a fault of all series at once looks less odd to those that judge
    rows by one another; what lasts is learned at the next fit; a tail of scores that is heavier than
    exponential gives more false alarms than the budget.
    """

    fails = (
        "Where the pyod detector fails; a fault that lasts is learned at the next fit, and a tail of scores "
        "heavier than exponential gives more false alarms than the budget."
    )

    def __init__(self, settings: CustomSettings) -> None:
        super().__init__(settings)
        self._metrics: dict[str, Metric] = {}
        self._due: list[tuple[str, Metric]] = []  # for a fit
        self._told: Ints = np.zeros(settings.max_series, np.int64)  # time of the last sample, by place
        self._rehearse()

    def watched(self, size: int) -> Flags:
        """The series that have a place."""
        return self.places.watched(size)

    def step(self, moment: Moment) -> Results:
        """Judge the series that have a newer value than at the moment before, then learn from them."""
        restarted = self.places.find(moment.restarted)
        self.restart(restarted[restarted >= 0])
        used = self.places.used
        ids = self.places.ids[used]
        new = (moment.times[ids] > self._told[used]) & np.isfinite(moment.values[ids])
        places = sorted(used[new].tolist(), key=lambda place: self.places.prints[place])
        if not places:
            return nothing(1)
        at = np.array(places)
        ids = self.places.ids[at]
        times = moment.times[ids]
        self._told[at] = times
        features = self.features.step(at, moment.values[ids])
        known = ~np.isnan(features).any(axis=1)
        at, ids, times, features = at[known], ids[known], times[known], features[known]
        raw = self._raw(at, features)
        self._learn(moment.at, at, features)
        scores = np.full(len(at), np.nan)
        there = np.isfinite(raw)
        scores[there] = self.tail.step(at[there], times[there], raw[there])
        self.scored(at, scores)
        return Results(times, ids, scores.reshape(-1, 1))

    def jobs(self) -> list[Job]:
        """The fits that are due."""
        due, self._due = self._due, []
        return [self._job(name, metric) for name, metric in due]

    def forget(self, places: Ints) -> None:
        """These places are free."""
        self._told[places] = 0

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; a metric of which no series is left is forgotten."""
        super().remap(remap)
        left = {self.places.names[place] for place in self.places.used.tolist()}
        self._metrics = {name: metric for name, metric in self._metrics.items() if name in left}

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps; of the models the rows they are fitted on."""
        metrics = self._metrics
        empty = np.empty((0, self.settings.lags))
        return {
            **super().snapshot(size),
            "told": self._told.copy(),
            "metrics": np.frombuffer("\n".join(metrics).encode(), np.uint8),
            "rows": np.concatenate([empty, *(metric.rows for metric in metrics.values())]),
            "seen": np.array([metric.seen for metric in metrics.values()], np.int64),
            "fitted": np.concatenate([empty, *(metric.fitted for metric in metrics.values())]),
            "fitted_rows": np.array([len(metric.fitted) for metric in metrics.values()], np.int64),
            "fitted_at": np.array(
                # A fit that is not answered is asked for again after a restart.
                [metric.fitted_at if metric.waits else metric.asked_at for metric in metrics.values()],
                np.int64,
            ),
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot; the models are fitted again. Raises KeyError or ValueError."""
        names = np.asarray(state["metrics"], np.uint8).tobytes().decode().split("\n")
        rows, fitted = np.asarray(state["rows"], np.float64), np.asarray(state["fitted"], np.float64)
        told, ends = np.array(state["told"], np.int64), np.cumsum(state["fitted_rows"])
        names = [name for name in names if name]
        sample, lags = self.settings.sample, self.settings.lags
        sound = rows.shape == (len(names) * sample, lags) and len(fitted) == (ends[-1] if len(ends) else 0)
        sound &= all(len(state[name]) == len(names) for name in ("seen", "fitted_rows", "fitted_at"))
        if not sound or len(told) != self.settings.max_series or fitted.shape[1:] != (lags,):
            raise ValueError("the rows do not fit")
        metrics: dict[str, Metric] = {}
        for number, name in enumerate(names):
            metric = metrics[name] = Metric(sample, lags)
            metric.rows = rows[number * sample : (number + 1) * sample].copy()
            metric.seen = int(state["seen"][number])
            metric.fitted_at = metric.asked_at = int(state["fitted_at"][number])
            metric.fitted = fitted[int(ends[number]) - int(state["fitted_rows"][number]) : int(ends[number])]
        super().restore(state, size)
        self._told, self._metrics = told, metrics
        for metric in metrics.values():
            if len(metric.fitted):
                with suppress(Exception):  # fitted once, on the very same rows: it does not fail
                    metric.model = self._fit(metric.fitted)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps; the models are counted as the rows they are fitted on."""
        rows = sum(metric.rows.nbytes + 2 * metric.fitted.nbytes for metric in self._metrics.values())
        return super().bytes + rows + self._told.nbytes

    def _raw(self, places: Ints, features: Floats) -> Floats:
        """What the models say, `[n]`; NaN where there is none yet or it fails."""
        raw = np.full(len(places), np.nan)
        for name, rows in self._by_metric(places):
            metric = self._metrics.get(name)
            if metric is not None and metric.model is not None:
                raw[rows] = self._ask(metric.model, features[rows])
        return raw

    def _learn(self, now: int, places: Ints, features: Floats) -> None:
        for name, rows in self._by_metric(places):
            if name not in self._metrics:
                self._metrics[name] = Metric(self.settings.sample, self.settings.lags)
            metric = self._metrics[name]
            metric.take(features[rows], np.random.default_rng((self.settings.seed, now)))
            due = metric.asked_at == 0 or now - metric.asked_at >= self.settings.refit_interval
            if due and not metric.waits and metric.seen >= min(_LEAST, self.settings.sample):
                metric.asked_at, metric.waits = now, True
                self._due.append((name, metric))

    def _by_metric(self, places: Ints) -> list[tuple[str, list[int]]]:
        """The metrics of these places in order of their names, and which of the places belong to each."""
        found: dict[str, list[int]] = {}
        for number, place in enumerate(places.tolist()):
            found.setdefault(self.places.names[place], []).append(number)
        return sorted(found.items())

    def _job(self, name: str, metric: Metric) -> Job:
        rows = metric.sample()
        return Job(
            f"{self.name} of {name}",
            partial(self._fit, rows),
            partial(metric.answered, rows),
            partial(self._gave_up, metric),
        )

    def _gave_up(self, metric: Metric) -> None:
        """A fit failed, which the jobs have said; the model before stays."""
        self.failures += 1
        metric.gave_up()

    def _fit(self, rows: Floats) -> Any:
        """A model of these rows, in any thread. Raises what the library raises, as of a singular matrix."""
        with np.errstate(all="ignore"):  # rows that are all alike are nobody's mistake
            model = self.built()
            model.fit(rows)
        return model

    def _ask(self, model: Any, rows: Floats) -> Floats:
        try:
            with np.errstate(all="ignore"):
                scores: Floats = np.asarray(model.decision_function(rows), np.float64)
            return scores
        # The library's own errors are its own; one metric that it fails at must not stop the others.
        except Exception as error:
            self.failed("fails at a moment", error)
            return np.full(len(rows), np.nan)

    def _rehearse(self) -> None:
        """Import and compile all that a fit and a score need: HBOS takes 5 s for that, and no tick waits."""
        rows = np.random.default_rng(0).uniform(size=(_LEAST, self.settings.lags))
        with suppress(Exception):  # the first fit will say what it dislikes, with rows that are real
            self._ask(self._fit(rows), rows[:2])
