"""Whether a fault is proven: signs of independent kinds, each remembered for as long as it may count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Protocol

from model.decision import Decision, allow, refuse
from rules.promql.errors import EvaluationError, PromQLError
from runbooks.cluster import NodeView
from runbooks.expression import UnknownVariable, fill
from runbooks.model import Condition, Evidence


class Answer(Protocol):
    """What a query gives back: a vector with one value per sample."""

    @property
    def values(self) -> Sized:
        """The values."""


Query = Callable[[str], Answer]


def holds(
    condition: Condition, query: Query, variables: Mapping[str, str], node: NodeView | None
) -> Decision:
    """Whether a condition holds now: its expression returns a sample, or its fact is true of the node."""
    if condition.fact is not None:
        if node is None:
            return refuse("the node is no longer in the cluster")
        held = node.fact(condition.fact)
        return Decision(held, f"{condition.fact} is {'true' if held else 'false'} for {node.name}")
    try:
        found = len(query(fill(condition.expr or "", variables)).values)
    except (UnknownVariable, PromQLError, EvaluationError) as error:
        return refuse(f"cannot be evaluated: {error}")
    return Decision(found > 0, f"{found} sample{'' if found == 1 else 's'}")


def observe(
    evidence: Evidence,
    query: Query,
    variables: Mapping[str, str],
    node: NodeView,
    observed: dict[str, list[int]],
    now: int,
) -> bool:
    """Note in `observed` (sign -> [held since, last held], ms) what holds at `now`; True if a sign is new.

    Signs come and go at their own pace: the XID series vanishes with its GPU before Kubernetes notices.
    """
    news = False
    for sign in evidence.signs:
        if not holds(sign, query, variables, node):
            if sign.name in observed and observed[sign.name][1] - observed[sign.name][0] < sign.held:
                del observed[sign.name]  # it did not last: not a sign
            continue
        news |= sign.name not in observed
        observed.setdefault(sign.name, [now, now])[1] = now
    return news


def judge(evidence: Evidence, observed: Mapping[str, list[int]], now: int, max_age: int) -> Decision:
    """Whether the signs seen within `max_age` ms prove the fault."""
    seen = [
        sign
        for sign in evidence.signs
        if sign.name in observed
        and now - observed[sign.name][1] <= max_age
        and observed[sign.name][1] - observed[sign.name][0] >= sign.held
    ]
    kinds = sorted({sign.kind for sign in seen})
    names = ", ".join(f"{sign.name} ({sign.kind})" for sign in seen)
    for sign in seen:
        if sign.hard:
            return allow(f"proven by the hard fact {sign.name}")
    if len(kinds) >= evidence.require:
        return allow(f"proven by {names}")
    have = f"only {names}" if seen else "none of its signs"
    return refuse(f"{evidence.require} independent kinds of evidence are required and there is {have}")
