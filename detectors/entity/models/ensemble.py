"""The ensemble: all entities of one kind, judged by models that were fitted on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.entity.models import calibration
from detectors.entity.models.baseline import LATCH, RING, Baseline
from detectors.entity.models.fit import MODELS, Models, fit
from detectors.entity.models.sample import Sample
from detectors.entity.settings import EntitySettings
from model.moment import MINUTE
from telemetry.bits import Flags, Floats, Ints

_SETTLED = 2 * RING  # rows of an entity after which its scales are right enough to keep rows in them
_FIRST_FIT = 64  # rows of the sample before there is a fit
_AGAIN = 5 * MINUTE  # after a fit that was lost; twice as long after the next one,
_MOST_DOUBLED = 4  # so many times


class Verdict(NamedTuple):
    """By row: both scores `[m]` (> 1 is anomalous, NaN in warm-up), and each model's view `[m, models]`."""

    state: Floats
    change: Floats
    depths: Floats


class Ensemble:
    """Rows in, scores out, for a pool of entities with the same features.

    `step` takes one row each of distinct entities. `due` says that the models should be (re)fitted; `job`
    then gives a pure function for another thread, and `adopt` takes its result. Entities are dense numbers.

    When it fails: what was anomalous from the first row on is normal; an entity with a rhythm slower than
    the history it was seen for (a week, at two days of history) is anomalous at its first Sunday; a pool of
    entities that behave differently has wide models, so that only their own tails tell; a fault that every
    entity has from the start, or that shows in no feature, is not seen.
    """

    def __init__(
        self, width: int, interval: int, settings: EntitySettings | None = None, seed: int = 0
    ) -> None:
        """`width` features a row, a row every `interval` ms."""
        self.settings = settings or EntitySettings()
        self.interval, self.seed = interval, seed
        self.models: Models | None = None
        self._memory = max(1, self.settings.memory // interval)
        self._warm_up = max(60, self.settings.warm_up // interval)
        self._again = max(1, _AGAIN // interval)
        self.refit_rows = max(60, self.settings.refit // interval)
        self._params = calibration.params_of(self.settings, interval)
        self._baseline = Baseline(width, self._memory)
        self._sample = Sample(self.settings.sample, width, seed)
        self._own = calibration.blank(0, self._params)
        self._clock: Ints = np.zeros(3, np.int64)  # steps, the step of the last fit, fits
        self._asked = 0  # the step at which the fit at hand was asked for
        self._waits = False  # for that fit; not kept over a restart, which loses it
        self._losses = 0  # fits that were lost since the last one

    @property
    def size(self) -> int:
        """Entities that there is room for."""
        return len(self._own)

    def reserve(self, size: int) -> None:
        """Make room for the entities below `size`."""
        if size > self.size:
            self._baseline.reserve(size)
            more = calibration.blank(len(self._baseline.count) - self.size, self._params)
            self._own = np.concatenate((self._own, more))

    def step(
        self, rows: Floats, entities: Ints, back: Flags | None = None, held: Flags | None = None
    ) -> Verdict:
        """Score one row each of distinct entities, `[m, d]` with NaN where a feature is missing, then learn.

        Entities not seen before are taken in. The order of the rows does not matter as long as the same
        entities have the same numbers. Those that are `back` `[m]` have been away: their rows of before are
        no past of this one. Of rows that are `held` `[m]` nothing is said: both scores are NaN.
        """
        if back is None or held is None:
            back = held = np.zeros(len(entities), np.bool_)
        order = np.argsort(entities, kind="stable")
        found = self._through(rows[order], entities[order], back[order], held[order])
        self._clock[0] += 1
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return Verdict(*(column[places] for column in found))

    def run(self, rows: Floats, entity: int = 0) -> Verdict:
        """Rows of one entity one after the other, `[n, d]`: the same as a step for each, only faster."""
        self.reserve(entity + 1)
        found = []
        while len(rows):
            until = LATCH - int(self._baseline.count[entity]) % LATCH
            none = np.zeros(min(until, len(rows)), np.bool_)
            found.append(self._through(rows[:until], np.full(len(none), entity), none, none))
            rows = rows[until:]
            self._clock[0] += len(found[-1].state)
        return joined(found)

    def due(self) -> bool:
        """Whether to fit (again): first at the end of warm-up, then at twice the rows, then each `refit`.

        After a fit that was lost some minutes later, more from time to time.
        """
        steps, last, fits = self._clock.tolist()
        if self._waits or self._sample.seen[0] < _FIRST_FIT:
            return False
        if self._losses and steps - self._asked < self._again * 2 ** min(self._losses - 1, _MOST_DOUBLED):
            return False
        return bool(
            steps - last >= (min(self.refit_rows, max(last, self._warm_up)) if fits else self._warm_up)
        )

    def job(self) -> Callable[[], Models]:
        """The fit as a function that touches nothing of this object: for another thread."""
        sample = self._sample.taken(self._baseline)
        self._asked, self._waits = int(self._clock[0]), True
        seed, trees = self.seed + int(self._clock[2]) + 1, self.settings.trees
        return lambda: fit(sample, seed, trees)

    def adopt(self, models: Models) -> None:
        """From the next row on, score with these: the answer of `job`."""
        self.models = models
        self._clock[1:] = self._asked, self._clock[2] + 1
        self._waits, self._losses = False, 0

    def lost(self) -> None:
        """The `job` gives no answer: ask for another one in some minutes."""
        self._waits = False
        self._losses += 1

    def restart(self, entities: Ints) -> None:
        """These have been restarted or replaced: they warm up again, but for those with an alarm on.

        A restart ends no alarm: these go on being judged by what was known, as long as our patience lasts.
        """
        self._forget(entities[~calibration.alarmed(self._own[entities])])

    def anew(self, entities: Ints) -> None:
        """These warm up again, alarm or not."""
        self._forget(entities)

    @property
    def warm_up(self) -> int:
        """Rows of an entity before its first score."""
        return self._warm_up

    def _forget(self, entities: Ints) -> None:
        self._baseline.restart(entities)
        self._own[entities] = calibration.blank(len(entities), self._params)

    def contributions(self, entities: Ints, top: int = 3) -> tuple[Ints, Floats]:
        """Numbers and shares of the features that make the newest row unusual: `[m, top]`, largest first.

        Raises RuntimeError before there are models.
        """
        if self.models is None:
            raise RuntimeError("nothing is fitted yet: ask again after adopt")
        return self.models.contributions(self._baseline.ring[entities], top)

    def lull(self, entities: Ints) -> None:
        """These have been away for long: what they were then says nothing, their scores begin at 0."""
        for name in ("brief", "lasting", "lately"):
            self._own[entities, calibration.FIELDS.index(name)] = 0.0

    def usual(self, entities: Ints) -> tuple[Floats, Floats]:
        """Where each feature usually is and its robust scale, `[m, d]` each; NaN where it never came."""
        return self._baseline.centre[entities], self._baseline.scale(entities)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps, the models included."""
        return sum(int(array.nbytes) for array in self._state().values())

    def remap(self, new: Ints, size: int) -> None:
        """Follow a renumbering of the entities: `new[old]`, -1 = gone, `size` of them."""
        self._sample.remap(new)
        self._baseline.remap(new, size)
        own = calibration.blank(size, self._params)
        old = np.flatnonzero(new[: self.size] >= 0)
        own[new[old]] = self._own[old]
        self._own = own

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The state as named arrays, copies."""
        return {name: array.copy() for name, array in self._state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """Take the state of `snapshot` over; False, and nothing is changed, if it is another's."""
        own, models = self._state(), [name for name in state if name.startswith("models_")]
        if not all(name in state and _alike(state[name], own[name]) for name in own if name not in models):
            return False
        entities = {len(state["own"]), *(len(state[f"baseline_{name}"]) for name in Baseline.ARRAYS)}
        if len(entities) > 1 or any(len(state[name]) != len(own[name]) for name in ("clock",)):
            return False
        self._own = np.array(state["own"], np.float64)
        self._clock = np.array(state["clock"], np.int64)
        self._asked, self._waits, self._losses = int(self._clock[1]), False, 0
        for part, names in ((self._baseline, Baseline.ARRAYS), (self._sample, Sample.ARRAYS)):
            for name in names:
                held = state[f"{type(part).__name__.lower()}_{name}"]
                setattr(part, name, np.array(held, getattr(part, name).dtype))
        self.models = Models.of({name[7:]: np.array(state[name]) for name in models}) if models else None
        return True

    def _state(self) -> dict[str, NDArray[np.generic]]:
        arrays: dict[str, NDArray[np.generic]] = {"own": self._own, "clock": self._clock}
        arrays |= {f"baseline_{name}": getattr(self._baseline, name) for name in Baseline.ARRAYS}
        arrays |= {f"sample_{name}": getattr(self._sample, name) for name in Sample.ARRAYS}
        models = self.models.arrays() if self.models is not None else {}
        return arrays | {f"models_{name}": array for name, array in models.items()}

    def _through(self, rows: Floats, entities: Ints, back: Flags, held: Flags) -> Verdict:
        """Rows in the order given, of which some may be of the same entity."""
        if len(entities):
            self.reserve(int(entities.max()) + 1)
        stack, jump, age = self._baseline.take(rows, entities, back)
        out = np.full((len(rows), 2), np.nan)
        depths = np.full((len(rows), len(MODELS)), np.nan)
        calm = np.ones(len(rows), np.bool_)
        if self.models is not None:
            whole = age >= RING
            depths[whole] = self.models.score(stack[whole])
            calibration.judge(depths, jump, age, entities, held, self._own, self._params, out, calm)
            young = age < self._warm_up
            out[young], calm[young] = np.nan, True
        self._baseline.calm[entities] = calm  # of several rows of one entity the last
        memory = self._memory * max(1, self.size)
        self._sample.offer(stack, entities, calm & (age >= _SETTLED), memory, self._baseline)
        self._let_in(entities)
        return Verdict(out[:, 0], out[:, 1], depths)

    def _let_in(self, entities: Ints) -> None:
        """What has been anomalous for longer than our patience is how these are now: learn them anew."""
        lasting = np.unique(entities[calibration.lasts(self._own[entities], self._params)])
        if len(lasting):
            self._sample.forget(len(lasting) / self.size)
            self._forget(lasting)


def joined(found: Sequence[Verdict]) -> Verdict:
    """One after the other; at least one."""
    return Verdict(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _alike(given: NDArray[np.generic], own: NDArray[np.generic]) -> bool:
    """The same but for how many entities there are."""
    return given.shape[1:] == own.shape[1:] and given.ndim == own.ndim
