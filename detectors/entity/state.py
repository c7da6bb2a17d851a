"""The detector of entities: one row of features of each GPU, engine and node, judged as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import SCORE, Moment, MomentDetector, Results, State, nothing
from detectors.entity.identity import print_of
from detectors.entity.kinds import KINDS
from detectors.entity.pool import FRESH, Pool, PoolKey, Told
from detectors.entity.roster import Roster
from detectors.entity.settings import EntitySettings
from detectors.entity.story import story_of
from detectors.entity.subjects import WHOLE, Subjects
from detectors.explanation import Explanation
from detectors.jobs import Job
from model.labels import NAME, Labels
from model.metric import Metric, Sample
from model.moment import DAY, HOUR, SECOND
from telemetry.bits import Flags, Ints
from telemetry.window import IdRemap, Window

CONTRIBUTION = "fleetowl_anomaly_contribution"
METRICS = (
    Metric("fleetowl_entities", "gauge", "Entities that are judged as a whole.", ("entity",)),
    Metric("fleetowl_entities_warm", "gauge", "Those of them that have scores.", ("entity",)),
    Metric(
        "fleetowl_entity_models_fitted_timestamp_seconds",
        "gauge",
        "When the oldest models in use of entities of a kind were fitted.",
        ("entity",),
    ),
)

FORGET = DAY
"""What is known of an entity is kept so long after its last row."""
LEAST_FEATURES = 4
"""With fewer there is no whole to judge: the scores of its series say as much."""
MOST_CLASSES = 8
"""So many classes of a kind (models of GPUs, served models) have models of their own; the rest shares one."""


@dataclass(slots=True)
class _Places:
    """Of the entities of a roster: the pool and the number there; -1: none yet."""

    pool: Ints
    number: Ints


class StateDetector(MomentDetector):
    """Rows of entities into pools of alike ones, each with an ensemble of models; see Ensemble for these.

    A row is made at a moment by which an entity has a new sample, of all its features that are no older than
    FRESH; without one, or with nothing to do, it has no row. Two scores: `state`, against all that was normal
    so far, and `change`, against lately. While `state` is above 1, up to three features are named with their
    share in it. The scores end when the entity has had no row for FRESH, and begin a few rows after it is
    back.

    When it fails: what the ensemble says of itself; and an entity whose series change their identifying
    labels is another one, which starts from nothing.
    """

    name = "state"
    version = 2
    fails = (
        "What was wrong from the first row on is normal, a rhythm slower than the history is anomalous "
        "at first, and a fault that shows in no feature is not seen."
    )
    results = (SCORE, CONTRIBUTION)
    by_source = False

    def __init__(self, settings: EntitySettings, interval: int, seed: int = 0) -> None:
        """`interval` (ms) is that of the moments."""
        self.settings = settings
        self.pools: list[Pool] = []
        self._interval, self._seed = interval, seed
        self._window: Window | None = None
        self.changes = nothing(1)
        self._swept = 0  # the hour in which it was last looked for what can be forgotten
        self._forget_series()

    def _forget_series(self) -> None:
        self._rosters = [Roster(kind) for kind in KINDS]
        self._places = [_Places(np.empty(0, np.int64), np.empty(0, np.int64)) for _ in KINDS]
        self.subjects = Subjects(self._rosters)
        self._watched: Flags = np.empty(0, np.bool_)

    # What the hub asks.

    def warm(self) -> None:
        """Compile what judges rows, or load what was compiled before."""
        from detectors.entity.models.rehearsal import rehearse

        rehearse()

    def notice(self, window: Window, known: int) -> None:
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""
        self._window = window
        if known == 0:
            self._forget_series()
        for sid in range(known, window.size):
            labels = window.labels(sid)
            name = labels.name
            for roster in self._rosters:
                if name in roster.kind.by_metric:
                    roster.notice(sid, labels)
        self._watched = np.empty(0, np.bool_)

    def watched(self, size: int) -> Flags:
        """The series that features are made of."""
        if len(self._watched) != size:
            self._watched = np.zeros(size, np.bool_)
            for roster in self._rosters:
                ids = roster.watched()
                self._watched[ids[ids < size]] = True
        return self._watched

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        """Those of the entity; with the feature where it is about a share."""
        return self.labels_as(self.name, window, subject, result)

    def labels_as(self, detector: str, window: Window, subject: int, result: str) -> Labels:
        """The same for a detector of that name."""
        kind, entity, feature = self.subjects.of(subject)
        labels = {NAME: result, "detector": detector}
        if feature != WHOLE:
            labels["metric"] = KINDS[kind].names[feature]
        return self._rosters[kind].labels(window, entity).merged(labels)

    def home(self, subject: int) -> int:
        """A living series of the entity."""
        assert self._window is not None  # a subject comes of a noticed series
        kind, entity, _ = self.subjects.of(subject)
        return self._rosters[kind].home(self._window, entity)

    def step(self, moment: Moment) -> Results:
        """A row of each entity that has new samples; what `change` says of it waits in `changes`."""
        found = [pair for kind in range(len(KINDS)) for pair in self._step(kind, moment)]
        self._sweep(moment.at)
        self.changes = _together(1, [change for _, change in found])
        return _together(2, [state for state, _ in found])

    def jobs(self) -> Iterator[Job]:
        """The fits that are due."""
        for pool in self.pools:
            if pool.ensemble.due():
                yield pool.job()

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering: what is known of entities stays, their series are looked for again."""
        self._forget_series()

    def snapshot(self, size: int) -> State:
        """What is known of the entities, by their prints; nothing of it is by series."""
        state = {"swept": np.array([self._swept]), "pools": np.array([len(self.pools)])}
        for place, pool in enumerate(self.pools):
            state |= {f"{place}/{name}": array for name, array in pool.snapshot().items()}
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        pools = []
        for place in range(int(state["pools"][0])):
            own = {
                name.removeprefix(f"{place}/"): array
                for name, array in state.items()
                if name.startswith(f"{place}/")
            }
            pool = self._pool(PoolKey(*own["key"][:3].tolist()))
            pool.restore(own)
            pools.append(pool)
        self.pools, self._swept = pools, int(state["swept"][0])
        self._forget_places()

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return sum(pool.bytes for pool in self.pools) + int(self._watched.nbytes)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        for place, kind in enumerate(KINDS):
            pools = [pool for pool in self.pools if pool.key.kind == place]
            label = {"entity": kind.name}
            yield Sample("fleetowl_entities", label, sum(pool.size for pool in pools))
            warm = sum(int((~np.isnan(pool.scores[: pool.size, 0])).sum()) for pool in pools)
            yield Sample("fleetowl_entities_warm", label, warm)
            fitted = [pool.fitted_at for pool in pools if pool.ensemble.models is not None]
            if fitted:
                name = "fleetowl_entity_models_fitted_timestamp_seconds"
                yield Sample(name, label, min(fitted) / SECOND)

    # What people ask.

    def explain(self, labels: Mapping[str, str]) -> Explanation | None:
        """The entity that these labels speak of, `entity` with its kind among them."""
        for place, roster in enumerate(self._rosters):
            if roster.kind.name != labels.get("entity"):
                continue
            entity = roster.find(labels)
            places = self._places[place]
            if entity is None or entity >= len(places.pool) or places.pool[entity] < 0:
                return None
            return story_of(self.pools[int(places.pool[entity])], int(places.number[entity]))
        return None

    def roster(self, kind: str) -> Roster:
        """The entities of a kind; another one after a renumbering of the series."""
        return next(roster for roster in self._rosters if roster.kind.name == kind)

    # The parts of a step.

    def _step(self, kind: int, moment: Moment) -> Iterator[tuple[Results, Results]]:
        roster = self._rosters[kind]
        if not roster.members:
            return
        rows, newest = roster.features(moment, FRESH)
        idle = roster.idle(rows, moment, FRESH)
        places = self._placed(kind, (~np.isnan(rows)).sum(axis=1) >= LEAST_FEATURES)
        restarted = roster.restarted(moment)
        for place in np.unique(places.pool[places.pool >= 0]).tolist():
            entities = np.flatnonzero(places.pool == place)
            pool, numbers = self.pools[place], places.number[entities]
            pool.restart(numbers[np.isin(entities, restarted)])
            fresh = (newest[entities] > pool.last[numbers]) & ~idle[entities]
            chosen = entities[fresh]
            if len(chosen):
                told = pool.step(numbers[fresh], rows[chosen], newest[chosen])
                yield self._told(kind, chosen, newest[chosen], told)
            yield self._silent(kind, entities, pool, numbers, moment.at)

    def _told(self, kind: int, entities: Ints, times: Ints, told: Told) -> tuple[Results, Results]:
        """What there is to say of rows: by `state`, and by `change`."""
        rows, features = np.nonzero(~np.isnan(told.shares))
        gone, gone_features = np.nonzero(told.dropped)
        subjects = self.subjects.numbers(kind, entities, np.full(len(entities), WHOLE))
        shares = np.full((len(rows), 2), np.nan)
        shares[:, 1] = told.shares[rows, features]
        state = Results(
            np.concatenate((times, times[rows])),
            np.concatenate((subjects, self.subjects.numbers(kind, entities[rows], features))),
            np.concatenate((np.stack((told.state, np.full(len(times), np.nan)), axis=1), shares)),
            self.subjects.numbers(kind, entities[gone], gone_features),
            times[gone],
        )
        return state, Results(times, subjects, told.change[:, None])

    def _silent(
        self, kind: int, entities: Ints, pool: Pool, numbers: Ints, at: int
    ) -> tuple[Results, Results]:
        """End what was said of entities that have had no row for too long."""
        over = pool.told[numbers] & (pool.last[numbers] <= at - pool.patience)
        gone = entities[over]
        rows, features = np.nonzero(pool.silence(numbers[over]))
        whole = self.subjects.numbers(kind, gone, np.full(len(gone), WHOLE))
        ended = np.concatenate((whole, self.subjects.numbers(kind, gone[rows], features)))
        return _ended(2, ended, at), _ended(1, whole, at)

    def _placed(self, kind: int, seen: Flags) -> _Places:
        """The places of all entities; those that are seen for the first time are given one, in one order."""
        places, members = self._places[kind], self._rosters[kind].members
        if len(places.pool) < len(members):
            more = np.full(len(members) - len(places.pool), -1)
            places.pool = np.concatenate((places.pool, more))
            places.number = np.concatenate((places.number, more))
        new = np.flatnonzero((places.pool < 0) & seen).tolist()
        if new:
            known = {
                print_: (place, number)
                for place, pool in enumerate(self.pools)
                if pool.key.kind == kind
                for number, print_ in enumerate(pool.print[: pool.size].tolist())
            }
            for entity in sorted(new, key=lambda entity: members[entity].print):
                found = known.get(members[entity].print) or self._admitted(kind, entity)
                places.pool[entity], places.number[entity] = found
        return places

    def _admitted(self, kind: int, entity: int) -> tuple[int, int]:
        """A pool for a new entity and its number there."""
        assert self._window is not None
        roster, window = self._rosters[kind], self._window
        interval = max(self._interval, roster.interval(window, entity))
        classed = roster.classed(window, entity)
        key = PoolKey(kind, print_of("class", (classed,)), interval)
        classes = {pool.key.classed for pool in self.pools if pool.key.kind == kind}
        if key.classed not in classes and len(classes) >= MOST_CLASSES:
            classed, key = "", PoolKey(kind, print_of("class", ("",)), interval)
        place = next((place for place, pool in enumerate(self.pools) if pool.key == key), len(self.pools))
        if place == len(self.pools):
            self.pools.append(self._pool(key))
        pool = self.pools[place]
        pool.title = f"{KINDS[kind].name} {classed}".strip()
        return place, pool.admit(roster.members[entity].print)

    def _pool(self, key: PoolKey) -> Pool:
        return Pool(key, KINDS[key.kind], self.settings, self._seed)

    def _sweep(self, at: int) -> None:
        """Once an hour, let go of entities that are long gone, and of classes that have none any more."""
        if at // HOUR == self._swept:
            return
        self._swept = at // HOUR
        gone = [pool for pool in self.pools if pool.forget(at - FORGET)]
        living = [pool for pool in self.pools if pool.size]
        if gone or len(living) < len(self.pools):
            self.pools = living
            self._forget_places()

    def _forget_places(self) -> None:
        for places in self._places:
            places.pool = places.number = np.empty(0, np.int64)


def _together(columns: int, found: Sequence[Results]) -> Results:
    found = [results for results in found if len(results.subjects) or len(results.ended)]
    if len(found) < 2:
        return found[0] if found else nothing(columns)
    names = ("times", "subjects", "values", "ended", "ended_at")
    return Results(*(np.concatenate([getattr(results, name) for results in found]) for name in names))


def _ended(columns: int, subjects: Ints, at: int) -> Results:
    empty = nothing(columns)
    return Results(empty.times, empty.subjects, empty.values, subjects, np.full(len(subjects), at))
