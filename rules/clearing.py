"""The end of an alert that has a `clear_expr`: hysteresis.

A firing alert whose expression no longer holds goes on until `clear_expr` yields a row for it. It ends too
once no series of either expression has had a sample for the look-back: a machine that was taken away gives
neither, and its alert would never end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from rules.active import ActiveAlert
from rules.likeness import Rows
from rules.promql.expression import Expression
from telemetry.window import Window

_OWN = ("fleetowl_", "ALERTS")
"""Series that Fleetowl writes itself: they are there at once and say nothing of the target."""


def evidence(expression: Expression) -> list[tuple[Matcher, ...]]:
    """The selectors that show whether a target reports: those of other series than Fleetowl's own, if any."""
    foreign = [
        matchers
        for matchers in expression.sources
        if not any(m.name == NAME and m.op is Op.EQUAL and m.value.startswith(_OWN) for m in matchers)
    ]
    return foreign or expression.sources


def cleared(alerts: Iterable[ActiveAlert], rows: Sequence[Labels]) -> set[Labels]:
    """The alerts for which `clear_expr` has one of its `rows`: agreeing on all labels that both have."""
    known = Rows(rows)
    return {active.labels for active in alerts if any(True for _ in known.like(active.source))}


def gone(
    alerts: Iterable[ActiveAlert], expressions: Sequence[Expression], window: Window, now: int, lookback: int
) -> set[Labels]:
    """The alerts whose series have had no sample since `now - lookback` (ms).

    A series is an alert's if they agree on the labels that both have and have at least one, unless the
    alert has none. When a series was last there is kept in `traced_at`, so that one look is enough for the
    whole look-back.
    """
    silent = [active for active in alerts if now - active.traced_at >= lookback]
    selectors = {matchers for expression in expressions for matchers in evidence(expression)}
    if not silent or not selectors:
        return set()
    for matchers in selectors:
        for selection in window.select(matchers):
            last, _ = window.last(selection.ids)
            rows = Rows(selection.labels)
            for active in silent:
                numbers = list(rows.like(active.source, least=min(1, len(active.source))))
                newest = int(last[np.array(numbers, dtype=np.int64)].max(initial=0))
                active.traced_at = max(active.traced_at, min(newest, now))
    return {active.labels for active in silent if now - active.traced_at >= lookback}
