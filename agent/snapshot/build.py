"""Puts the views of a node together, and the nodes in order."""

from __future__ import annotations

from collections.abc import Sequence

from agent.snapshot.engines import engine_views
from agent.snapshot.facts import Facts, Row, by_node
from agent.snapshot.findings import missing, wrong
from agent.snapshot.gpus import gpu_views
from agent.snapshot.host import host_view
from agent.snapshot.shape import SCHEMA_VERSION, NodeView, Snapshot


def snapshot(
    before: tuple[float, Sequence[Row]] | None, now: tuple[float, Sequence[Row]], own: str = ""
) -> Snapshot:
    """Two readings (Unix time in seconds, series with their values) as a person would ask.

    Without the earlier one there are no rates. Series that name no node are about `own`.
    """
    older = by_node(before[1], own) if before is not None else {}
    nodes = []
    for node, rows in by_node(now[1], own).items():
        earlier = Facts(before[0], older[node]) if before is not None and node in older else None
        nodes.append(_node(node, earlier, Facts(now[0], rows)))
    return Snapshot(SCHEMA_VERSION, now[0], tuple(sorted(nodes, key=_badness)))


def _node(node: str, before: Facts | None, now: Facts) -> NodeView:
    gpus, engines = gpu_views(before, now), engine_views(before, now)
    state, reason = _driver(now)
    return NodeView(
        node=node,
        host=host_view(before, now),
        driver_version=_driver_version(now),
        driver_state=state,
        driver_reason=reason,
        gpus=gpus,
        engines=engines,
        wrong=wrong(now, gpus, engines),
        missing=missing(now, gpus=bool(gpus)),
    )


def _badness(node: NodeView) -> tuple[int, int, str]:
    findings = (*node.wrong, *node.missing)
    broken = sum(each.severity == "broken" for each in findings)
    return -broken, -sum(each.severity == "warning" for each in findings), node.node


def _driver(now: Facts) -> tuple[str, str]:
    for labels, value in now.named("fleetowl_gpu_status"):
        if value == 1:
            return labels.value("state"), labels.value("reason")
    return "unknown", ""


def _driver_version(now: Facts) -> str:
    for name in ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_FB_USED", "fleetowl_gpu_up"):
        for labels, _ in now.named(name):
            if labels.value("DCGM_FI_DRIVER_VERSION"):
                return labels.value("DCGM_FI_DRIVER_VERSION")
    return ""
