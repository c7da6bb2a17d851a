"""Which groups are evaluated in a tick, in which order, and what waits when time is short.

A group is due when the clock enters the next multiple of its interval. The most urgent tier comes first,
in a tier who has waited longest. Once the rules have used up their share of the tick, what is left waits
for the next, and a group may stop between two rules and go on there later, at the same moment of
evaluation. P0 never waits.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable

from model.alert import Tier
from model.moment import MINUTE
from rules.running import IDLE, GroupState

log = logging.getLogger("fleetowl.rules")

_CALM = MINUTE
"""How long nothing must have waited before the log says that it is over."""


class Schedule:
    """Deals out the time for rules. `timer` gives seconds; `budget` is how many a tick has for them."""

    def __init__(self, timer: Callable[[], float], budget: float) -> None:
        self.shed: Counter[Tier] = Counter()
        self.budget = budget
        self._timer = timer
        self._begun = 0.0
        self._waited_at: int | None = None

    def begin(self, groups: Iterable[GroupState], now: int) -> list[GroupState]:
        """The groups to go on with or to begin at `now` (ms), in their order. The budget counts from here."""
        self._begun = self._timer()
        due = [group for group in groups if group.place != IDLE or now // group.interval != group.slot]
        return sorted(due, key=lambda group: (group.tier, _due_at(group)))

    def may_run(self, group: GroupState) -> bool:
        """Whether the next rule of this group is evaluated in this tick."""
        return group.tier == Tier.P0 or self._timer() - self._begun < self.budget

    def enter(self, group: GroupState, now: int) -> None:
        """The group begins the evaluation that is due at `now` (ms)."""
        group.missed += _passed(group, now)
        group.missing = 0
        group.slot, group.at, group.place, group.duration = now // group.interval, now, 0, 0.0

    def put_off(self, group: GroupState, now: int) -> None:
        """What is left of this group waits for the next tick. Counted once for each evaluation."""
        slot = now // group.interval if group.place == IDLE else group.slot
        if group.slot < 0:
            group.slot = slot - 1  # it waits since its first moment
        group.missing = _passed(group, now)
        if group.shed_slot != slot:
            group.shed_slot = slot
            waiting = len(group.rules) - max(0, group.place)
            group.shed += waiting
            self.shed[group.tier] += waiting
        if self._waited_at is None:
            log.warning(
                "the rules need more than their %.1f s of a tick: %s and what is less urgent waits",
                self.budget,
                group.tier.name,
            )
        self._waited_at = now

    def end(self, now: int) -> None:
        """The tick's rules are done; say it when nothing has waited for a while."""
        if self._waited_at is not None and now - self._waited_at >= _CALM:
            self._waited_at = None
            log.warning("the rules keep up again; %d evaluations had to wait so far", self.shed.total())


def _due_at(group: GroupState) -> int:
    """Since when (ms) the group waits: since its present evaluation was due, or will be its next."""
    return (group.slot if group.place != IDLE else group.slot + 1) * group.interval


def _passed(group: GroupState, now: int) -> int:
    """How many intervals have gone by without their evaluation."""
    return max(0, now // group.interval - group.slot - 1) if group.slot >= 0 else 0
