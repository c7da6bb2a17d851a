"""What proves a fault, and what only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from model.alert import Alert
from model.topology import Entity, Topology
from rules.promql.errors import PromQLError
from runbooks.cluster import ClusterView, NodeView
from runbooks.evidence import holds, judge, observe
from runbooks.model import Condition, Runbook
from runbooks.target import resolve, variables

MakeNode = Callable[..., NodeView]
MakeAlert = Callable[..., Alert]
SECOND, MINUTE = 1_000, 60_000
VALUES = {"node": "node-3", "uuid": "GPU-node-3-3", "gpu": "3"}


def asks(*held: str) -> Callable[[str], Any]:
    return lambda expression: SimpleNamespace(values=[1.0 for text in held if text in expression])


def watch(runbook: Runbook, node: NodeView, *seen: tuple[int, tuple[str, ...]]) -> Callable[[int], str]:
    """Observe at each (time, held texts); returns the verdict at a time."""
    observed: dict[str, list[int]] = {}
    for at, held in seen:
        observe(runbook.evidence, asks(*held), VALUES, node, observed, at)
    return lambda now: str(judge(runbook.evidence, observed, now, 5 * MINUTE))


def test_two_kinds_prove_it_also_when_one_is_gone_before_the_other_comes(
    gpu_lost: Runbook, make_node: MakeNode
) -> None:
    """The XID series vanishes with its GPU; Kubernetes notices a minute later."""
    observed: dict[str, list[int]] = {}
    healthy, dropped = make_node("node-3"), make_node("node-3", gpu_allocatable=7)
    assert observe(gpu_lost.evidence, asks("XID"), VALUES, healthy, observed, 0)
    assert not judge(gpu_lost.evidence, observed, 0, 5 * MINUTE)
    observe(gpu_lost.evidence, asks(), VALUES, dropped, observed, MINUTE)
    verdict = judge(gpu_lost.evidence, observed, MINUTE, 5 * MINUTE)
    assert str(verdict) == "proven by xid_79 (driver), allocatable_dropped (kubernetes)"
    assert not judge(gpu_lost.evidence, observed, 6 * MINUTE + 1, 5 * MINUTE), "old signs count no more"


def test_one_kind_alone_proves_nothing(gpu_lost: Runbook, make_node: MakeNode) -> None:
    verdict = watch(gpu_lost, make_node("node-3"), (0, ("XID",)), (SECOND, ("XID",)))
    assert verdict(SECOND) == (
        "2 independent kinds of evidence are required and there is only xid_79 (driver)"
    )


def test_an_exporter_crash_is_not_a_lost_gpu(gpu_lost: Runbook, make_node: MakeNode) -> None:
    """All GPUs of the node are absent, the engines go on, Kubernetes has all eight: no sign holds."""
    verdict = watch(gpu_lost, make_node("node-3"), *((at * SECOND, ()) for at in range(120)))
    assert verdict(120 * SECOND).endswith("there is none of its signs")


def test_a_gap_of_one_scrape_is_not_a_vanished_gpu(gpu_lost: Runbook, make_node: MakeNode) -> None:
    flicker = [(0, ("XID", "unless")), (5 * SECOND, ("XID", "unless")), (6 * SECOND, ("XID",))]
    assert "only xid_79" in watch(gpu_lost, make_node("node-3"), *flicker)(6 * SECOND)
    lasting = [*flicker, (7 * SECOND, ("unless",)), (17 * SECOND, ("unless",))]
    assert "proven by" in watch(gpu_lost, make_node("node-3"), *lasting)(17 * SECOND)


def test_a_sign_that_flickers_begins_anew_each_time(gpu_lost: Runbook, make_node: MakeNode) -> None:
    """Two gaps of five seconds, twenty seconds apart, are not one that lasted for twenty-five."""
    seen = [(at * SECOND, ("XID", "unless") if at % 20 < 5 else ("XID",)) for at in range(26)]
    assert "only xid_79" in watch(gpu_lost, make_node("node-3"), *seen)(25 * SECOND)


def test_a_hard_fact_is_enough(gpu_lost: Runbook, make_node: MakeNode) -> None:
    data = gpu_lost.model_dump(by_alias=True, exclude_none=True)
    data["evidence"]["signs"][0]["hard"] = True
    hard = Runbook.model_validate(data)
    assert watch(hard, make_node("node-3"), (0, ("XID",)))(0) == "proven by the hard fact xid_79"


def test_what_cannot_be_evaluated_does_not_hold() -> None:
    def broken(expression: str) -> Any:
        raise PromQLError("histogram_fraction is not supported")

    condition = Condition(expr='up{uuid="$uuid"}')
    assert str(holds(condition, broken, VALUES, None)).endswith("histogram_fraction is not supported")
    assert not holds(condition, asks("up"), {"node": "node-3"}, None)
    assert not holds(Condition(fact="node.not_ready"), asks(), VALUES, None)


def world(make_node: MakeNode) -> tuple[ClusterView, Topology]:
    nodes = [
        make_node("node-3", addresses=("10.0.0.3", "gpu3.example.com")),
        make_node("node-30", addresses=("10.0.0.30", "shared.example.com")),
        make_node("node-4", addresses=("shared.example.com",)),
    ]
    topology = Topology()
    topology.observe(Entity("node", "node-3"), Entity("gpu", "GPU-1"), 0)
    topology.observe(Entity("rack", "r1"), Entity("node", "node-3"), 0)
    return ClusterView(tuple(nodes), 0), topology


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"Hostname": "node-3", "UUID": "GPU-1"}, "is about node-3 (uid uid-node-3)"),
        ({"Hostname": "", "UUID": "GPU-1"}, "is about node-3"),
        ({"Hostname": "", "node": "gpu3.example.com", "UUID": ""}, "is about node-3"),
        ({"Hostname": "node", "UUID": ""}, "no node of the cluster is called or addressed node,"),
        ({"Hostname": "NODE-3", "UUID": ""}, "similar names do not count"),
        ({"Hostname": "shared.example.com", "UUID": ""}, "no node of the cluster is called or addressed"),
        (
            {"Hostname": "node-4", "UUID": "GPU-1"},
            "labels and topology disagree about the node: node-3 and node-4",
        ),
        ({"Hostname": "", "UUID": "GPU-9"}, "names neither a node nor a GPU that is known"),
    ],
)
def test_the_node_is_never_guessed(
    gpu_lost: Runbook, make_node: MakeNode, make_alert: MakeAlert, labels: dict[str, str], says: str
) -> None:
    view, topology = world(make_node)
    resolution = resolve(make_alert("", **labels), gpu_lost.target, topology, view)
    assert says in str(resolution.decision)
    assert (resolution.node is not None) == bool(resolution.decision)


def test_variables_come_from_node_and_alert(
    gpu_lost: Runbook, make_node: MakeNode, make_alert: MakeAlert
) -> None:
    found = variables(make_alert("gpu3", UUID="GPU-1"), gpu_lost.target, make_node("node-3"))
    assert found == {"node": "node-3", "uuid": "GPU-1", "gpu": "3"}
