"""The engine alone, on views and times: no server, no disk."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from model.alert import Alert
from model.topology import Topology
from runbooks.cluster import ClusterView, NodeView
from runbooks.engine import RunbookEngine
from runbooks.ledger import METRICS
from runbooks.model import Runbook
from runbooks.run import Intent, Outcome, Result, run_id
from runbooks.settings import RunbookSettings

MakeNode = Callable[..., NodeView]
MakeAlert = Callable[..., Alert]
START, SECOND, MINUTE = 1_800_000_000_000, 1_000, 60_000


def everything(expression: str) -> Any:
    return SimpleNamespace(values=[1.0])


class Bench:
    """An engine with a clock, whose state is on disk at once."""

    def __init__(self, runbook: Runbook, make_node: MakeNode, **settings: Any) -> None:
        self.runbook, self.settings = runbook, {"enabled": True, "mode": "auto", **settings}
        chosen = RunbookSettings.model_validate(self.settings)
        self.engine = RunbookEngine([runbook], chosen, Topology())
        self.nodes = {name: make_node(name) for name in ("node-1", "node-2", "node-3")}
        self.now = START

    def step(self, *alerts: Alert, after: int = SECOND, query: Any = everything) -> list[Intent]:
        self.now += after
        self.engine.saved()
        view = ClusterView(tuple(self.nodes.values()), self.now)
        intents = self.engine.step(self.now, alerts, query, view)
        self._commit()
        return intents + self.engine.due(self.now)

    def reload(self, *runbooks: Runbook, **settings: Any) -> None:
        self.settings |= settings
        self.engine.reconfigure(runbooks or [self.runbook], RunbookSettings.model_validate(self.settings))

    def _commit(self) -> None:
        ledger = self.engine._ledger
        ledger._writing = (dict(ledger._changed), set())
        self.engine.saved()

    def until_intent(self, *alerts: Alert) -> Intent:
        for _ in range(12):
            if intents := self.step(*alerts):
                (intent,) = intents
                return intent
        raise AssertionError("nothing was decided")

    @property
    def sentence(self) -> str:
        return self.engine.runs()[0].sentence

    @property
    def state(self) -> str:
        return self.engine.runs()[0].state.value


@pytest.fixture
def bench(gpu_lost: Runbook, make_node: MakeNode) -> Bench:
    return Bench(gpu_lost, make_node)


def test_a_stale_alert_never_acts(bench: Bench, make_alert: MakeAlert) -> None:
    """An hour-old alert, as after a restart: refused, however certain."""
    alert = make_alert("node-3", START - 60 * MINUTE)
    assert not any(bench.step(alert) for _ in range(30))
    assert bench.sentence == "refused: GpuLost began more than 5m ago, too long to act on"


def test_nothing_is_handed_out_before_it_is_on_disk(bench: Bench, make_alert: MakeAlert) -> None:
    alert = make_alert("node-3")
    for _ in range(60):
        bench.now += SECOND
        view = ClusterView(tuple(bench.nodes.values()), bench.now)
        assert bench.engine.step(bench.now, [alert], everything, view) == []
        assert bench.engine.due(bench.now) == []
    assert bench.state == "proposed"
    assert bench.engine.dirty
    bench._commit()
    assert len(bench.engine.due(bench.now)) == 1
    assert bench.engine.due(bench.now) == [], "handed out once"


def test_a_permission_says_what_proves_it_and_what_the_guards_found(
    bench: Bench, make_alert: MakeAlert
) -> None:
    intent = bench.until_intent(make_alert("node-3"))
    assert intent.why == (
        "cordon node-3: GpuLost is about node-3 (uid uid-node-3); proven by xid_79 (driver), "
        "gpu_vanished (telemetry), device_missing (telemetry); gpu-lost-cordon has taken 0 of 2 actions "
        "within its window; 0 of 3 nodes are out and the budget is 1"
    )


def test_one_refusal_is_one_audit_line(bench: Bench, make_alert: MakeAlert) -> None:
    nothing = SimpleNamespace(values=[])
    for _ in range(60):
        bench.step(make_alert("node-3"), query=lambda _: nothing)
    assert [entry.sentence for entry in bench.engine.entries] == [
        "refused: 2 independent kinds of evidence are required and there is none of its signs"
    ]


def test_two_lost_gpus_of_one_node_are_one_run(bench: Bench, make_alert: MakeAlert) -> None:
    alerts = [make_alert("node-3"), make_alert("node-3", START + 5 * SECOND, UUID="GPU-x", gpu="5")]
    bench.until_intent(*alerts)
    (run,) = bench.engine.runs()
    assert len(run.alerts) == 2
    assert run.id == run_id("gpu-lost-cordon", 1, "uid-node-3", START)


def test_signs_of_two_gpus_do_not_prove_one_fault(bench: Bench, make_alert: MakeAlert) -> None:
    """XID 79 on one GPU and another GPU that vanished: each has one kind of evidence."""

    def mixed(expression: str) -> Any:
        held = ("XID" in expression and "GPU-a" in expression) or (
            "unless" in expression and "GPU-b" in expression
        )
        return SimpleNamespace(values=[1.0] if held else [])

    alerts = [make_alert("node-3", UUID="GPU-a"), make_alert("node-3", UUID="GPU-b", gpu="5")]
    for _ in range(30):
        assert bench.step(*alerts, query=mixed) == []
    assert "only xid_79 (driver)" in bench.sentence


@pytest.mark.parametrize(
    ("own", "claimed", "says"),
    [
        ("", "east", "is of the cluster east and runbooks.cluster does not say which this one is"),
        ("west", "east", "is of the cluster east and this one is west"),
        ("east", "east", "cordon node-3: "),
        ("east", "", "cordon node-3: "),
    ],
)
def test_an_alert_of_another_cluster_is_left_alone(
    gpu_lost: Runbook, make_node: MakeNode, make_alert: MakeAlert, own: str, claimed: str, says: str
) -> None:
    """Two clusters often have nodes of one name."""
    bench = Bench(gpu_lost, make_node, cluster=own)
    for _ in range(13):
        bench.step(make_alert("node-3", cluster=claimed))
    assert says in bench.sentence


def test_other_alerts_and_tiers_are_not_answered(bench: Bench, make_alert: MakeAlert) -> None:
    others = [make_alert("node-3", tier="P2"), make_alert("node-3", alertname="HostDown")]
    resolved = Alert(make_alert("node-3").labels, starts_at=START, ends_at=START + 1)
    assert not bench.engine.needs_view([*others, resolved], START + SECOND)
    bench.step(*others, resolved)
    assert bench.engine.runs() == []
    assert bench.engine.needs_view([make_alert("node-3")], START)


def test_disabled_does_nothing(gpu_lost: Runbook, make_node: MakeNode, make_alert: MakeAlert) -> None:
    bench = Bench(gpu_lost, make_node, enabled=False)
    assert bench.step(make_alert("node-3")) == []
    assert not bench.engine.needs_view([make_alert("node-3")], START)
    assert bench.engine.runs() == []


def test_an_episode_that_seems_over_and_is_not_does_not_act_again(
    bench: Bench, make_alert: MakeAlert
) -> None:
    """After a restart the alert may be missing for a while; the same start is the same episode."""
    intent = bench.until_intent(make_alert("node-3"))
    bench.engine.record(Result(intent.run, intent.action, Outcome.APPLIED, "done"), bench.now)
    bench.nodes["node-3"] = _cordoned(bench.nodes["node-3"], intent.run)
    bench.step(make_alert("node-3"))
    assert bench.state == "done"
    assert bench.step() == bench.step() == []
    assert not bench.engine.runs()[0].open
    assert bench.step(make_alert("node-3")) == []
    assert len(bench.engine.runs()) == 1
    assert bench.state == "done"


def test_a_new_episode_of_a_cordoned_node_has_nothing_to_do(bench: Bench, make_alert: MakeAlert) -> None:
    intent = bench.until_intent(make_alert("node-3"))
    bench.engine.record(Result(intent.run, intent.action, Outcome.APPLIED, "done"), bench.now)
    bench.nodes["node-3"] = _cordoned(bench.nodes["node-3"], intent.run)
    bench.step(make_alert("node-3"))
    bench.step()
    bench.step(make_alert("node-3", bench.now))
    assert bench.sentence == (
        f"refused: node-3 is already cordoned by run {intent.run}, there is nothing to do"
    )


def test_a_list_of_nodes_from_before_the_action_verifies_nothing(bench: Bench, make_alert: MakeAlert) -> None:
    """It does not show the cordon yet: that is no sign that someone took it back."""
    alert = make_alert("node-3")
    intent = bench.until_intent(alert)
    before = ClusterView(tuple(bench.nodes.values()), bench.now)
    bench.engine.record(Result(intent.run, intent.action, Outcome.APPLIED, "done"), bench.now)
    bench.engine.step(bench.now + SECOND, [alert], everything, before)
    assert bench.state == "verifying"


def test_a_target_that_was_acted_on_rests_also_in_a_new_episode(bench: Bench, make_alert: MakeAlert) -> None:
    """A GPU that falls off the bus, is given back by hand and falls again: no cordon each time."""
    intent = bench.until_intent(make_alert("node-3"))
    bench.engine.record(Result(intent.run, intent.action, Outcome.APPLIED, "done"), bench.now)
    bench.step()
    assert not any(bench.step(make_alert("node-3", START + 20 * SECOND)) for _ in range(20))
    assert bench.sentence == f"refused: node-3 was acted on by run {intent.run} less than 30m ago"


def test_an_old_list_of_nodes_is_not_decided_upon(bench: Bench, make_alert: MakeAlert) -> None:
    alert = make_alert("node-3")
    old = ClusterView(tuple(bench.nodes.values()), START - 31 * SECOND)
    assert bench.engine.step(START, [alert], everything, old) == []
    assert bench.sentence == "refused: there is no node list of the last 30s to decide upon"


def test_a_reload_loses_no_run_no_audit_line_and_nothing_under_way(
    bench: Bench, make_alert: MakeAlert
) -> None:
    alert = make_alert("node-3")
    intent = bench.until_intent(alert)
    waiting = list(bench.engine.entries)
    bench.reload()
    assert waiting
    assert bench.engine.entries == waiting
    assert not any(bench.step(alert) for _ in range(5)), "it is under way: nobody starts it twice"
    bench.engine.record(Result(intent.run, intent.action, Outcome.APPLIED, "done"), bench.now)
    assert bench.state == "verifying"


def test_a_reload_changes_what_may_be_done(bench: Bench, make_alert: MakeAlert) -> None:
    """Decided, but not carried out when the permission is withdrawn: it is only looked up."""
    alert = make_alert("node-3")
    for withdrawn in ({"mode": "dry-run"}, {"mode": "auto", "enabled": False}):
        intent = bench.until_intent(alert)
        bench.reload(**withdrawn)
        bench.engine.record(Result(intent.run, intent.action, Outcome.UNKNOWN, "no answer"), bench.now)
        bench.step(alert)
        bench.now += MINUTE
        (again,) = bench.engine.due(bench.now)
        assert again.look_only
        bench.engine.record(Result(again.run, again.action, Outcome.REFUSED, "nothing done"), bench.now)
        bench.reload(mode="auto", enabled=True)
        alert = make_alert("node-2", bench.now)


def test_a_refused_run_follows_the_mode_of_the_configuration(bench: Bench, make_alert: MakeAlert) -> None:
    bench.reload(paused=True)
    alert = make_alert("node-3")
    assert bench.step(alert) == []
    bench.reload(paused=False, mode="dry-run")
    assert bench.until_intent(alert).dry_run


def test_runs_are_forgotten_in_the_end(bench: Bench, make_alert: MakeAlert) -> None:
    bench.step(make_alert("node-3", START - 60 * MINUTE))
    bench.step()
    bench.step(after=31 * 24 * 60 * MINUTE)
    assert bench.engine.runs() == []


def test_every_sample_is_declared(bench: Bench, make_alert: MakeAlert) -> None:
    bench.step(make_alert("node-3"))
    declared = {metric.name: set(metric.labels) for metric in METRICS}
    found = {sample.name: set(sample.labels) for sample in bench.engine.samples()}
    assert found == declared


def _cordoned(node: NodeView, run: str) -> NodeView:
    changes = {"unschedulable": True, "run": run, "cordon_manager": "fleetowl"}
    return NodeView(**{**vars(node), **changes})
