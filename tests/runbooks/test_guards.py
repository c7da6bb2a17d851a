"""The budget and its companions, on views of a cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.cluster import ClusterView, NodeView
from runbooks.guards import allowed_out, check_budget, check_rest
from runbooks.model import Budget, Guards
from runbooks.run import Run

MakeNode = Callable[..., NodeView]
HOUR = 3_600_000


def cluster(nodes: list[NodeView]) -> ClusterView:
    return ClusterView(tuple(nodes), at=0)


@pytest.mark.parametrize(("nodes", "go"), [(1, False), (2, True), (3, True), (8, True)])
def test_small_clusters_never_lose_their_last_node(make_node: MakeNode, nodes: int, go: bool) -> None:
    view = cluster([make_node(f"node-{number}") for number in range(nodes)])
    assert bool(check_budget(Budget(), view.nodes[0], view)) is go


def test_the_last_schedulable_node_is_kept_even_if_the_budget_has_room(make_node: MakeNode) -> None:
    nodes = [make_node("a"), make_node("b", unschedulable=True), make_node("cpu", gpu_capacity=0)]
    decision = check_budget(Budget(max_nodes_out=5, max_percent_out=50), nodes[0], cluster(nodes))
    assert str(decision) == "a is the last schedulable GPU node of 2"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"unschedulable": True, "cordon_manager": "kubectl-cordon"}, "cordoned by kubectl-cordon"),
        ({"unschedulable": True}, "cordoned by someone else"),
        ({"unschedulable": True, "run": "r1", "cordon_manager": "fleetowl"}, "cordoned by run r1"),
        ({"unschedulable": True, "run": "r1", "cordon_manager": "k9s"}, "cordoned by k9s"),
        ({"ready": False}, "not ready"),
        ({"deleting": True}, "being deleted"),
        ({"taints": ("nvidia.com/gpu", "karpenter.sh/disrupted")}, "being removed by karpenter"),
    ],
)
def test_whoever_took_a_node_out_it_counts(make_node: MakeNode, changes: dict[str, object], why: str) -> None:
    nodes = [make_node("a"), make_node("b", **changes), make_node("c")]
    decision = check_budget(Budget(), nodes[0], cluster(nodes))
    assert str(decision) == f"1 of 3 nodes is already out (b, {why}) and the budget is 1"


def test_a_gpu_taint_takes_nothing_out_and_the_target_does_not_count_against_itself(
    make_node: MakeNode,
) -> None:
    nodes = [make_node("a", ready=False), make_node("b", taints=("nvidia.com/gpu",)), make_node("c")]
    assert check_budget(Budget(), nodes[0], cluster(nodes))


def test_a_node_whose_driver_died_is_still_a_gpu_node(make_node: MakeNode) -> None:
    nodes = [make_node("a", gpu_capacity=0, gpu_labelled=True), make_node("b"), make_node("c")]
    assert check_budget(Budget(), nodes[0], cluster(nodes))
    assert not check_budget(Budget(), make_node("cpu", gpu_capacity=0), cluster(nodes))


@given(
    size=st.integers(1, 60),
    out=st.sets(st.integers(0, 59)),
    reserved=st.sets(st.integers(0, 59)),
    nodes_out=st.integers(1, 10),
    percent=st.integers(1, 50),
)
def test_a_permission_never_breaks_the_budget(
    size: int, out: set[int], reserved: set[int], nodes_out: int, percent: int
) -> None:
    """After acting: no more out than both limits allow (one is always allowed), and one node left."""
    nodes = [NodeView(f"n{i}", f"u{i}", "1", unschedulable=i in out, gpu_capacity=8) for i in range(size)]
    taken = {f"n{i}": "being taken out" for i in reserved if i < size}
    budget = Budget(max_nodes_out=nodes_out, max_percent_out=percent)
    target = nodes[0]
    gone = ({node.name for node in nodes if node.unschedulable} | set(taken)) | {target.name}
    decision = check_budget(budget, target, cluster(nodes), taken)
    within = len(gone) <= nodes_out and (len(gone) == 1 or len(gone) * 100 <= size * percent)
    assert bool(decision) == (within and len(gone) < size)


def test_a_slow_drip_stops_at_the_same_limit(make_node: MakeNode) -> None:
    """One fault in six minutes on ten nodes: what counts is who is out, not who went out lately."""
    out: set[int] = set()
    for number in range(10):
        nodes = [make_node(f"n{i}", unschedulable=i in out) for i in range(10)]
        if check_budget(Budget(max_nodes_out=2, max_percent_out=20), nodes[number], cluster(nodes)):
            out.add(number)
    assert len(out) == allowed_out(Budget(max_nodes_out=2, max_percent_out=20), 10) == 2


def run(uid: str, acted_at: int | None) -> Run:
    return Run(f"run-{uid}-{acted_at}", "r", 1, uid, uid, 0, "auto", acted_at=acted_at)


def test_a_target_rests_and_a_runbook_has_so_many_actions() -> None:
    guards, now = Guards(), 10 * HOUR
    assert check_rest(guards, "r", "a", [run("a", None), run("a", now - HOUR // 2)], now)
    resting = check_rest(guards, "r", "a", [run("a", now - HOUR // 2 + 1)], now)
    assert str(resting) == f"a was acted on by run run-a-{now - HOUR // 2 + 1} less than 30m ago"
    spent = check_rest(guards, "r", "a", [run("b", now - 1), run("c", now - HOUR + 1)], now)
    assert str(spent) == "r has already taken 2 actions within 1h, and 2 is its limit"
    assert check_rest(guards, "r", "a", [run("b", now - 1), run("c", now - HOUR)], now)
    assert check_rest(guards, "other", "a", [run("b", now - 1), run("a", now - 1)], now)
