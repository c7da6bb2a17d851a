"""The shipped runbooks' expressions on a real window: what they see of a fault and of its look-alikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

import rules.packs
from model.labels import Labels
from model.moment import SECOND
from rules.promql.answer import Vector
from rules.promql.expression import parse
from runbooks.cluster import NodeView
from runbooks.evidence import holds
from runbooks.library import shipped
from runbooks.model import Runbook, load_runbooks
from telemetry.window import Window

START = 1_800_000_000_000
VALUES = {"node": "node-3", "uuid": "GPU-3", "gpu": "3"}


def page(*, gpus: range, xid: float = 0.0, spelling: str = "Hostname") -> dict[Labels, float]:
    """A scrape of dcgm-exporter on node-3; `xid` is that of GPU 3."""
    series = {}
    for gpu in gpus:
        labels = {spelling: "node-3", "gpu": str(gpu), "UUID": f"GPU-{gpu}"}
        series[Labels({"__name__": "DCGM_FI_DEV_GPU_TEMP", **labels})] = 50.0
        series[Labels({"__name__": "DCGM_FI_DEV_XID_ERRORS", **labels})] = xid if gpu == 3 else 0.0
    return series


class Node:
    """A window fed with the scrapes of one exporter; what a scrape leaves out becomes stale."""

    def __init__(self) -> None:
        self.window = Window()
        self.target = self.window.target("dcgm", 5 * SECOND)
        self.now = START
        self.ids: dict[Labels, int] = {}

    def scrape(self, series: dict[Labels, float]) -> None:
        self.now += 5 * SECOND
        for labels in series:
            self.ids.setdefault(labels, self.window.series(self.target, labels, "gauge"))
        ids = np.array([self.ids[labels] for labels in series], dtype=np.int64)
        self.window.append(self.target, self.now, ids, np.array(list(series.values()), dtype=np.float64))
        gone = np.array([self.ids[labels] for labels in self.ids if labels not in series], dtype=np.int64)
        self.window.mark_stale(self.target, self.now, gone)

    def query(self, expression: str) -> Vector:
        answer = parse(expression).evaluate(self.window, self.now)
        assert isinstance(answer, Vector)
        return answer

    def held(self, runbook: Runbook, view: NodeView) -> set[str]:
        return {sign.name for sign in runbook.evidence.signs if holds(sign, self.query, VALUES, view)}


@pytest.fixture
def node() -> Node:
    return Node()


MakeNode = Callable[..., NodeView]


def test_a_healthy_node_shows_no_sign(node: Node, gpu_lost: Runbook, make_node: MakeNode) -> None:
    node.scrape(page(gpus=range(8)))
    assert node.held(gpu_lost, make_node("node-3")) == set()


@pytest.mark.parametrize("spelling", ["Hostname", "hostname", "node"])
def test_a_lost_gpu_shows_its_signs_one_after_the_other(
    node: Node, gpu_lost: Runbook, make_node: MakeNode, spelling: str
) -> None:
    node.scrape(page(gpus=range(8), spelling=spelling))
    node.scrape(page(gpus=range(8), xid=79, spelling=spelling))
    assert node.held(gpu_lost, make_node("node-3")) == {"xid_79"}
    left = {labels: 50.0 for labels in page(gpus=range(8), spelling=spelling) if labels["gpu"] != "3"}
    node.scrape(left)
    assert node.held(gpu_lost, make_node("node-3")) == {"gpu_vanished"}
    dropped: Any = make_node("node-3", gpu_allocatable=7)
    assert node.held(gpu_lost, dropped) == {"gpu_vanished", "allocatable_dropped"}


def test_an_exporter_crash_shows_no_sign(node: Node, gpu_lost: Runbook, make_node: MakeNode) -> None:
    node.scrape(page(gpus=range(8)))
    node.scrape({})
    assert node.held(gpu_lost, make_node("node-3")) == set()


def test_an_xid_latched_from_long_ago_is_no_sign(node: Node, gpu_lost: Runbook, make_node: MakeNode) -> None:
    for _ in range(3):
        node.scrape(page(gpus=range(8), xid=79))
    assert node.held(gpu_lost, make_node("node-3")) == set()


def test_a_shipped_pack_raises_what_a_runbook_answers() -> None:
    """The alerts of a runbook are raised by a shipped pack, at a tier that the runbook answers."""
    raised = {
        rule["alert"]: rule["labels"]["tier"]
        for path in rules.packs.shipped()
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    for runbook in load_runbooks([shipped()]):
        for alert in runbook.match.alerts:
            assert raised[alert] in runbook.match.tiers


def test_another_xid_shows_no_sign(node: Node, gpu_lost: Runbook, make_node: MakeNode) -> None:
    node.scrape(page(gpus=range(8)))
    node.scrape(page(gpus=range(8), xid=31))
    assert node.held(gpu_lost, make_node("node-3")) == set()


def test_the_agents_own_view_counts_as_telemetry(node: Node, gpu_lost: Runbook, make_node: MakeNode) -> None:
    labels = {"__name__": "fleetowl_gpu_up", "UUID": "GPU-3", "gpu": "3", "Hostname": "node-3"}
    node.scrape({Labels(labels): 0.0})
    assert node.held(gpu_lost, make_node("node-3")) == {"device_missing"}
    assert {s.kind for s in gpu_lost.evidence.signs if s.name in ("device_missing", "gpu_vanished")} == {
        "telemetry"
    }
