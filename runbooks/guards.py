"""What limits a runbook, however certain the fault. Pure: a view and what is reserved give a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from model.decision import Decision, allow, refuse
from model.moment import format_duration
from runbooks.cluster import ClusterView, NodeView
from runbooks.model import Budget, Guards
from runbooks.run import Run


def allowed_out(budget: Budget, nodes: int) -> int:
    """How many of `nodes` GPU nodes may be out: the smaller of the two limits, the percentage at least 1.

    >>> [allowed_out(Budget(max_nodes_out=3, max_percent_out=10), nodes) for nodes in (2, 19, 20, 40)]
    [1, 1, 2, 3]
    """
    return min(budget.max_nodes_out, max(1, nodes * budget.max_percent_out // 100))


def check_budget(
    budget: Budget, target: NodeView, view: ClusterView, reserved: Mapping[str, str] | None = None
) -> Decision:
    """Whether `target` may be taken out now.

    Counts what is out now, whoever did it, and what is `reserved` (node name -> why) but not yet seen; not
    what was done in the last minutes, so a slow drip of faults stops at the same limit as a storm.
    """
    nodes = view.gpu_nodes
    if target.uid not in {node.uid for node in nodes}:
        return refuse(f"{target.name} is not a GPU node")
    out = {node.name: node.out for node in nodes if node.out}
    out = {**(reserved or {}), **out}
    out.pop(target.name, None)
    left = len(nodes) - 1 - len(out)
    if left < 1:
        return refuse(f"{target.name} is the last schedulable GPU node of {len(nodes)}")
    limit = allowed_out(budget, len(nodes))
    if len(out) >= limit:
        who = "; ".join(f"{name}, {why}" for name, why in sorted(out.items())[:3])
        who += f"; and {len(out) - 3} more" if len(out) > 3 else ""
        verb = "is" if len(out) == 1 else "are"
        return refuse(
            f"{len(out)} of {len(nodes)} nodes {verb} already out ({who}) and the budget is {limit}"
        )
    return allow(f"{len(out)} of {len(nodes)} nodes are out and the budget is {limit}")


def check_rest(guards: Guards, runbook: str, uid: str, runs: Iterable[Run], now: int) -> Decision:
    """Whether the target has rested and the runbook has actions left in its window."""
    acted = [(run, run.acted_at) for run in runs if run.runbook == runbook and run.acted_at is not None]
    rest = guards.cooldown.per_target
    for run, at in acted:
        if run.uid == uid and now - at < rest:
            return refuse(f"{run.node} was acted on by run {run.id} less than {format_duration(rest)} ago")
    window = guards.window
    recent = sum(1 for _, at in acted if now - at < window.per)
    if recent >= window.actions:
        spent = f"{recent} action{'s' if recent > 1 else ''} within {format_duration(window.per)}"
        return refuse(f"{runbook} has already taken {spent}, and {window.actions} is its limit")
    return allow(f"{runbook} has taken {recent} of {window.actions} actions within its window")
