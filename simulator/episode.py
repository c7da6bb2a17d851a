"""One fault at work in one cluster: its drawn values, what it did when, how it ended, and the truth of it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model.topology import Entity
from simulator.fault import Effect, Fault
from simulator.ranges import draw, draw_duration
from simulator.world import Happening, World

Value = bool | str | float


class Model(Protocol):
    """What an episode needs of the cluster."""

    world: World

    def related(self, entity: Entity, kind: str) -> Sequence[Any]:
        """The objects of `kind` that carry `entity`, are carried by it, or are it."""

    def write(self, owner: Any, attribute: str, value: Value) -> None:
        """Set a variable and let the model react."""

    def holds(self, condition: str, entity: Entity, since: int) -> bool:
        """Whether a recovery condition is true."""

    def serves_fully(self, entity: Entity) -> bool:
        """Whether every replica that has to do with `entity` is ready."""


@dataclass
class Change:
    """A variable on its way from one value to another."""

    owner: Any
    attribute: str
    start: float
    goal: float
    since: int
    over: int
    exponential: bool

    def value(self, now: int) -> float:
        """Where it stands at `now`."""
        share = min(1.0, (now - self.since) / self.over) if self.over else 1.0
        if self.exponential and share < 1.0:
            share = 1 - math.exp(-3 * share)  # `over` covers 95 % of the way
        return self.start + (self.goal - self.start) * share

    def done(self, now: int) -> bool:
        """Whether it has arrived."""
        return now - self.since >= self.over


class Episode:
    """A running or past fault. `log` holds what happened to everything it touches, in time order."""

    def __init__(self, model: Model, fault: Fault, target: Entity, onset: int, name: str, seed: str) -> None:
        self.name, self.fault, self.target, self.onset = name, fault, target, onset
        self.restored_at: int | None = None  # the cause is gone
        self.recovered_at: int | None = None  # and every replica that it hit is ready again
        self.effects: list[tuple[int, str]] = []
        self.log: list[Happening] = []
        self._model, self._world = model, model.world
        self._random = random.Random(seed)
        self._changes: list[Change] = []
        self._undo: list[tuple[Any, str, Value, int]] = []
        self._scope = self._entities()
        self._ends_at = (
            onset + draw_duration(fault.recovery.after, self._random) if fault.recovery.after else None
        )
        self._recovering = False
        self._world.listeners.append(self._hear)
        self._world.compress(self, {entry.delay: entry.to for entry in fault.compressed})
        for effect in fault.effects:
            self._world.timeline.plan(
                onset + draw_duration(effect.after, self._random), self._starter(effect)
            )

    @property
    def over(self) -> bool:
        """Whether nothing of it is left."""
        return self.recovered_at is not None

    def affected(self) -> list[Entity]:
        """The entities of the kinds that the truth names, root first."""
        kinds = [kind for kind in self.fault.truth.affects if kind != self.target.kind]
        others = [owner.entity for kind in kinds for owner in self._model.related(self.target, kind)]
        return [self.target, *others]

    def truth(self) -> Mapping[str, Any]:
        """The record for evaluation (JSON-ready; times in ms)."""
        truth = self.fault.truth
        return {
            "episode": self.name,
            "fault": self.fault.id,
            "tier": self.fault.tier,
            "root": {"kind": self.target.kind, "name": self.target.name},
            "affected": [{"kind": entity.kind, "name": entity.name} for entity in self.affected()],
            "alerts": list(truth.alerts),
            "action": truth.action,
            "onset": self.onset,
            "effects": [{"at": at, "what": what} for at, what in self.effects],
            "restored_at": self.restored_at,
            "recovered_at": self.recovered_at,
            "compressed": [str(entry) for entry in self.fault.compressed],
        }

    def step(self, now: int) -> None:
        """Move what is on its way, and end what is to end."""
        for change in self._changes:
            self._model.write(change.owner, change.attribute, change.value(now))
        self._changes = [change for change in self._changes if not change.done(now)]
        if not self._recovering:
            self._look_for_the_end(now)
        elif self.restored_at is None and not self._changes and not self._undo:
            self.restored_at = now
        elif self.restored_at is not None and self._model.serves_fully(self.target):
            self.recovered_at = now
            self._world.release(self)
            self._world.listeners.remove(self._hear)

    def _look_for_the_end(self, now: int) -> None:
        recovery = self.fault.recovery
        if self._ends_at is not None:
            begins = now >= self._ends_at
        else:
            begins = bool(recovery.when) and self._model.holds(str(recovery.when), self.target, self.onset)
        if not begins or now < self.onset:
            return
        self._recovering = True
        if recovery.takes:
            self._world.after(recovery.takes, self._restore)
        else:
            self._world.timeline.plan(now, self._restore)

    def _starter(self, effect: Effect) -> Callable[[int], None]:
        return lambda now: self._start(effect, now)

    def _start(self, effect: Effect, now: int) -> None:
        variable = effect.declared
        over = draw_duration(effect.over, self._random)
        value: Value = draw(effect.to, self._random) if isinstance(effect.to, tuple) else effect.to
        for owner in self._model.related(self.target, variable.entity):
            before = getattr(owner, variable.attribute)
            self._world.note(owner.entity, effect.says)
            self.effects.append((now, f"{owner.entity} {effect.says}"))
            if effect.restores:
                self._undo.append((owner, variable.attribute, before, over))
            self._set(owner, variable.attribute, value, over, effect.shape == "exponential")

    def _set(self, owner: Any, attribute: str, value: Value, over: int, exponential: bool) -> None:
        if over and isinstance(value, float):
            start = float(getattr(owner, attribute))
            self._changes.append(Change(owner, attribute, start, value, self._world.now, over, exponential))
        else:
            self._model.write(owner, attribute, value)

    def _restore(self, now: int) -> None:
        self._changes.clear()
        if self.fault.recovery.says:
            self._world.note(self.target, self.fault.recovery.says)
            self.effects.append((now, f"{self.target} {self.fault.recovery.says}"))
        undo, self._undo = self._undo, []
        for owner, attribute, before, over in reversed(undo):
            self._set(owner, attribute, before, over, False)

    def _entities(self) -> set[Entity]:
        kinds = ("gpu", "replica", "node", "rack", "service")
        scope = {owner.entity for kind in kinds for owner in self._model.related(self.target, kind)}
        return scope | {self.target}

    def _hear(self, happening: Happening) -> None:
        if happening.entity in self._scope:
            self.log.append(happening)
