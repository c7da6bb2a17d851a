"""The ladder of checks between an alert and an action. The first refusal ends it and is the answer.

A check that only finds nothing in the way permits without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.moment import format_duration
from runbooks.cluster import ClusterView, NodeView
from runbooks.evidence import judge
from runbooks.guards import check_budget, check_rest
from runbooks.ledger import Ledger
from runbooks.model import Evidence, Runbook
from runbooks.run import HOLDING, Run, State
from runbooks.settings import RunbookSettings
from runbooks.target import Resolution


@dataclass(frozen=True)
class Case:
    """One run to decide on, with the newest alert that belongs to it."""

    run: Run
    runbook: Runbook
    alert: Alert
    resolution: Resolution
    view: ClusterView | None


def decide(case: Case, ledger: Ledger, settings: RunbookSettings, now: int) -> Decision:
    """Whether to act; the sentence of a permission is the proof and what the guards had to say."""
    reasons = []
    for decision in _checks(case, ledger, settings, now):
        if not decision:
            return decision
        reasons.append(decision.why)
    return allow("; ".join(filter(None, reasons)))


def _checks(case: Case, ledger: Ledger, settings: RunbookSettings, now: int) -> Iterator[Decision]:
    """What costs least and says most stands first."""
    run, runbook = case.run, case.runbook
    yield _awake(settings)
    yield _recent(case, now)
    yield _own_cluster(case.alert, settings)
    yield case.resolution.decision
    node = case.resolution.node
    if node is None or case.view is None:
        return
    yield _untouched(node)
    yield proof(runbook.evidence, run, now, runbook.match.max_event_age)
    yield check_rest(runbook.guards, runbook.name, node.uid, ledger.runs.values(), now)
    yield check_budget(runbook.guards.budget, node, case.view, reserved(run, ledger))


def proof(evidence: Evidence, run: Run, now: int, max_age: int) -> Decision:
    """The verdict on the subject (a GPU, say) with the most evidence: two of them prove nothing together."""
    subjects = sorted(run.observed.values(), key=len, reverse=True)
    verdicts = [judge(evidence, signs, now, max_age) for signs in subjects or [{}]]
    return next((verdict for verdict in verdicts if verdict), verdicts[0])


def reserved(run: Run, ledger: Ledger) -> dict[str, str]:
    """Nodes that other runs are taking out though the cluster may not show it yet.

    Dry runs count among themselves: they must say what real ones would do.
    """
    states = (*HOLDING, State.DRY_RUN) if run.dry else HOLDING
    return {
        other.node: f"being taken out by run {other.id}"
        for other in ledger.runs.values()
        if other.state in states
        and other.id != run.id
        and other.dry == run.dry
        and other.action == "node.cordon"
        and (other.open or other.state is not State.DRY_RUN)
    }


def _awake(settings: RunbookSettings) -> Decision:
    if settings.paused:
        return refuse("remediation is paused by the configuration")
    return allow("")


def _recent(case: Case, now: int) -> Decision:
    limit = case.runbook.match.max_event_age
    if now - case.alert.starts_at > limit:
        return refuse(f"{case.alert.name} began more than {format_duration(limit)} ago, too long to act on")
    return allow("")


def _own_cluster(alert: Alert, settings: RunbookSettings) -> Decision:
    claimed, own = alert.labels.value("cluster"), settings.cluster
    if claimed in ("", own):
        return allow("")
    hint = f"this one is {own}" if own else "runbooks.cluster does not say which this one is"
    return refuse(f"the alert is of the cluster {claimed} and {hint}")


def _untouched(node: NodeView) -> Decision:
    if node.unschedulable:
        return refuse(f"{node.name} is already cordoned by {node.cordoned_by}, there is nothing to do")
    return allow("")
