"""What follows an action: it is verified on nodes read after it, and undone where it does not hold."""

from __future__ import annotations

from model.moment import format_duration
from runbooks.cluster import ClusterView, NodeView
from runbooks.evidence import Query, holds
from runbooks.ledger import Ledger
from runbooks.model import Runbook
from runbooks.run import Run, State


def follow(
    run: Run, runbook: Runbook | None, query: Query, view: ClusterView | None, ledger: Ledger, now: int
) -> None:
    """Bring a run that has acted, or may have, up to date with the cluster."""
    if run.dry or view is None or view.at <= run.changed_at:
        return  # a list of nodes from before the change says nothing about it
    node = view.by_uid.get(run.uid)
    stray = run.state in (State.REFUSED, State.FAILED) and run.action == "node.cordon"
    if stray and node is not None and node.ours(run.id):
        run.acted_at = run.acted_at or now
        begin_to_verify(run, runbook, f"the cordon of {run.node} was applied after all", ledger, now)
    elif run.state is State.VERIFYING:
        _verify(run, runbook, node, query, ledger, now)


def begin_to_verify(run: Run, runbook: Runbook | None, why: str, ledger: Ledger, now: int) -> None:
    """The action is in place; its conditions have from now on to hold."""
    run.verify_until = now + (runbook.verify.within if runbook else 0)
    ledger.move(run, State.VERIFYING, why, now)


def take_back(run: Run, why: str, ledger: Ledger, now: int) -> None:
    """Begin to undo."""
    run.action, run.attempts, run.retry_at = "node.uncordon", 0, 0
    ledger.move(run, State.ACTING, f"undo the cordon of {run.node}: {why}", now)


def _verify(
    run: Run, runbook: Runbook | None, node: NodeView | None, query: Query, ledger: Ledger, now: int
) -> None:
    if node is None:
        ledger.move(run, State.FAILED, f"{run.node} (uid {run.uid}) left the cluster", now)
    elif not node.ours(run.id):
        who = node.cordoned_by if node.unschedulable else "someone else"
        sentence = f"{who} changed the cordon of {run.node} meanwhile: left as it is, and the run is over"
        ledger.move(run, State.UNDONE, sentence, now)
    elif runbook is None:
        ledger.move(run, State.DONE, f"{run.node} is cordoned; its runbook is no longer loaded", now)
    else:
        _verify_all(run, runbook, node, query, ledger, now)


def _verify_all(run: Run, runbook: Runbook, node: NodeView, query: Query, ledger: Ledger, now: int) -> None:
    values = {"node": run.node, "uuid": next(iter(run.observed), ""), "gpu": ""}
    checks = {one.text: holds(one, query, values, node) for one in runbook.verify.all}
    failing = [f"{text}: {decision}" for text, decision in checks.items() if not decision]
    if not failing:
        ledger.move(run, State.DONE, f"cordoned {run.node} and verified: {', '.join(checks)}", now)
    elif run.verify_until is not None and now > run.verify_until:
        within = format_duration(runbook.verify.within)
        take_back(run, f"not verified within {within} ({'; '.join(failing)})", ledger, now)
