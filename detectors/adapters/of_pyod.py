"""The adapter for pyod: a model for each group of series or entities, fitted now and then on recent rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.adapters.custom import Custom, Scales, Watched
from detectors.adapters.features import Features
from detectors.adapters.places import Places
from detectors.adapters.settings import CustomSettings
from detectors.contract import Moment, MomentDetector, Results, State, nothing
from detectors.jobs import Job
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_LEAST = 64
"""Rows before the first fit."""
_MEMORY = 8
"""A new row takes the place of an old one with at least the likelihood 1 / this: the old ones fade."""


class Group:
    """The rows of one metric, or kind of entity, that a model is fitted on, and the model."""

    def __init__(self, sample: int, width: int) -> None:
        self.rows: Floats = np.full((sample, width), np.nan)
        self.seen = 0
        self.fitted: Floats = np.empty((0, width))
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


class Pyod(Custom):
    """Any detector of pyod, one model a metric or kind of entity, asked at each moment for all its rows.

    The features of a row are on scales from 0 to 1 that fit its series or entity: so those of a group are
    alike, and one model knows them all. It is fitted on `sample` rows, which chance takes from the recent
    ones, every `refit_interval`. The scores are calibrated (`tail.Tail`).

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

    def __init__(self, settings: CustomSettings, watched: Watched, scales: Scales) -> None:
        super().__init__(settings, watched, scales)
        self._groups: dict[str, Group] = {}
        self._due: list[tuple[str, Group]] = []  # for a fit
        self._rehearse()

    def raw(self, at: int, places: Ints, features: Floats) -> Floats:
        """What the models say, NaN where there is none yet or it fails; then keep some of the rows."""
        raw = np.full(len(places), np.nan)
        groups = self._by_group(places)
        for name, rows in groups:
            group = self._groups.get(name)
            if group is not None and group.model is not None:
                raw[rows] = self._ask(group.model, features[rows])
        for name, rows in groups:
            self._learn(at, name, features[rows])
        return raw

    def jobs(self) -> list[Job]:
        """The fits that are due."""
        due, self._due = self._due, []
        return [self._job(name, group) for name, group in due]

    def keep(self, names: Collection[str]) -> None:
        """Forget all other groups."""
        self._groups = {name: group for name, group in self._groups.items() if name in names}

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps; of the models the rows they are fitted on."""
        groups = self._groups
        empty = np.empty((0, self.settings.width))
        return {
            **super().snapshot(size),
            "groups": np.frombuffer("\n".join(groups).encode(), np.uint8),
            "rows": np.concatenate([empty, *(group.rows for group in groups.values())]),
            "seen": np.array([group.seen for group in groups.values()], np.int64),
            "fitted": np.concatenate([empty, *(group.fitted for group in groups.values())]),
            "fitted_rows": np.array([len(group.fitted) for group in groups.values()], np.int64),
            "fitted_at": np.array(
                # A fit that is not answered is asked for again after a restart.
                [group.fitted_at if group.waits else group.asked_at for group in groups.values()],
                np.int64,
            ),
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot; the models are fitted again. Raises KeyError or ValueError."""
        names = np.asarray(state["groups"], np.uint8).tobytes().decode().split("\n")
        rows, fitted = np.asarray(state["rows"], np.float64), np.asarray(state["fitted"], np.float64)
        ends = np.cumsum(state["fitted_rows"])
        names = [name for name in names if name]
        sample, width = self.settings.sample, self.settings.width
        sound = rows.shape == (len(names) * sample, width) and len(fitted) == (ends[-1] if len(ends) else 0)
        sound &= all(len(state[name]) == len(names) for name in ("seen", "fitted_rows", "fitted_at"))
        if not sound or fitted.shape[1:] != (width,):
            raise ValueError("the rows do not fit")
        groups: dict[str, Group] = {}
        for number, name in enumerate(names):
            group = groups[name] = Group(sample, width)
            group.rows = rows[number * sample : (number + 1) * sample].copy()
            group.seen = int(state["seen"][number])
            group.fitted_at = group.asked_at = int(state["fitted_at"][number])
            group.fitted = fitted[int(ends[number]) - int(state["fitted_rows"][number]) : int(ends[number])]
        super().restore(state, size)
        self._groups = groups
        for group in groups.values():
            if len(group.fitted):
                with suppress(Exception):  # fitted once, on the very same rows: it does not fail
                    group.model = self._fit(group.fitted)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps; the models are counted as the rows they are fitted on."""
        rows = sum(group.rows.nbytes + 2 * group.fitted.nbytes for group in self._groups.values())
        return super().bytes + rows

    def _learn(self, now: int, name: str, features: Floats) -> None:
        if name not in self._groups:
            self._groups[name] = Group(self.settings.sample, self.settings.width)
        group = self._groups[name]
        group.take(features, np.random.default_rng((self.settings.seed, now)))
        due = group.asked_at == 0 or now - group.asked_at >= self.settings.refit_interval
        if due and not group.waits and group.seen >= min(_LEAST, self.settings.sample):
            group.asked_at, group.waits = now, True
            self._due.append((name, group))

    def _by_group(self, places: Ints) -> list[tuple[str, list[int]]]:
        """The groups of these places in order of their names, and which of the places belong to each."""
        found: dict[str, list[int]] = {}
        for number, place in enumerate(places.tolist()):
            found.setdefault(self.who.group(place), []).append(number)
        return sorted(found.items())

    def _job(self, name: str, group: Group) -> Job:
        rows = group.sample()
        return Job(
            f"{self.name} of {name}",
            partial(self._fit, rows),
            partial(group.answered, rows),
            partial(self._gave_up, group),
        )

    def _gave_up(self, group: Group) -> None:
        """A fit failed, which the jobs have said; the model before stays."""
        self.failures += 1
        group.gave_up()

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
        # The library's own errors are its own; one group that it fails at must not stop the others.
        except Exception as error:
            self.failed("fails at a moment", error)
            return np.full(len(rows), np.nan)

    def _rehearse(self) -> None:
        """Import and compile all that a fit and a score need: HBOS takes 5 s for that, and no tick waits."""
        rows = np.random.default_rng(0).uniform(size=(_LEAST, self.settings.width))
        with suppress(Exception):  # the first fit will say what it dislikes, with rows that are real
            self._ask(self._fit(rows), rows[:2])


class PyodDetector(Pyod, MomentDetector):
    """Pyod asked at each moment about the last `lags` values of each series with a newer one.

    When it fails: as Pyod does.
    """

    def __init__(self, settings: CustomSettings) -> None:
        self.places = Places(settings.metrics, settings.max_series)
        self.features = Features(settings.max_series, settings.lags, settings.warm_up // 2)
        self._told: Ints = np.zeros(settings.max_series, np.int64)  # time of the last sample, by place
        super().__init__(settings, self.places, self.features)

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on a place, as long as there are some."""
        self.places.notice(window, known)

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
        places = np.array(sorted(used[new].tolist(), key=lambda place: self.places.prints[place]), np.int64)
        if not len(places):
            return nothing(1)
        ids = self.places.ids[places]
        times = moment.times[ids]
        self._told[places] = times
        features = self.features.step(places, moment.values[ids])
        return self.judged(moment.at, places, ids, times, features)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; a metric of which no series is left is forgotten."""
        gone = self.places.remap(remap)
        self.free(gone)
        self._told[gone] = 0
        self.keep({self.places.names[place] for place in self.places.used.tolist()})

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps."""
        return {**super().snapshot(size), "told": self._told.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        told = np.array(state["told"], np.int64)
        if len(told) != len(self._told):
            raise ValueError("the times do not fit the places")
        super().restore(state, size)
        self._told = told

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return super().bytes + self._told.nbytes
