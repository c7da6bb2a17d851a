"""When the window has seen enough after a restart to judge an alert that was active before it.

After a restart the window is empty or has a gap. An expression that finds nothing in it has not found
that all is well. So a restored alert is held as it was:

- its target has reported since the start: until that has lasted for the rule's longest range and two
  scrape intervals;
- its target has not: until the longest range, and at least the look-back of an instant selector, has
  passed since the start. Then the target is gone, as far as anybody can tell.
"""

from __future__ import annotations

import numpy as np

from model.labels import Labels
from rules.active import ActiveAlert
from rules.clearing import evidence
from rules.likeness import Rows
from rules.promql.expression import Expression
from rules.states import AlertStates
from telemetry.window import Window


class Coverage:
    """Holds the restored alerts of an engine that started at `started_at` (ms)."""

    def __init__(self, window: Window, started_at: int, lookback: int, default_interval: int) -> None:
        self._window = window
        self._started_at = started_at
        self._lookback = lookback
        self._default_interval = default_interval

    def knows_absence(self, expression: Expression, now: int) -> bool:
        """Whether what `absent()` in this expression says means anything yet."""
        if not expression.asks_for_absence:
            return True
        return now - self._started_at >= max(expression.longest_range(self._default_interval), self._lookback)

    def held(self, states: AlertStates, now: int) -> frozenset[Labels]:
        """The restored alerts that neither resolve nor fire yet."""
        restored = [active for active in states.active.values() if active.restored]
        if not restored or not states.rule.expression.selectors:
            return frozenset()
        unseen = [active for active in restored if not active.seen_at]
        if unseen:
            self._look_for(unseen, states.rule.expression, now)
        return frozenset(active.labels for active in restored if self._too_early(active, states, now))

    def _too_early(self, active: ActiveAlert, states: AlertStates, now: int) -> bool:
        interval = active.interval or self._default_interval
        longest = max(expression.longest_range(interval) for expression in states.rule.expressions)
        if active.seen_at:
            return now - active.seen_at < longest + 2 * interval
        return now - self._started_at < max(longest, self._lookback)

    def _look_for(self, unseen: list[ActiveAlert], expression: Expression, now: int) -> None:
        """Note which alerts have a series that reported since the start, and at which interval."""
        for matchers in evidence(expression):
            for selection in self._window.select(matchers):
                _, _, present = selection.instant(now, now - self._started_at + 1)
                rows = Rows([selection.labels[int(row)] for row in np.flatnonzero(present)])
                for active in unseen:
                    if any(True for _ in rows.like(active.source)):
                        active.seen_at = active.seen_at or now
                        active.interval = max(active.interval, selection.interval or self._default_interval)
