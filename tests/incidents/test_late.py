"""A cause that comes late takes over what was told, and nobody is paged a second time."""

from __future__ import annotations

from alertmanager.route import Route
from model.alert import Tier
from tests.incidents.faults import node, pod, say
from tests.incidents.house import House


def test_the_cause_of_what_was_told_is_not_told_again() -> None:
    signs = [
        say("node", "VllmDown", "critical", 10, 300, **pod(3)),
        say("node", "NodeDown", "critical", 60, 280, **node(3)),
    ]
    house = House().play(signs)
    assert house.notifications(signs, "node") == (1, 1)
    [incident] = house.incidents.ordered(everything=True)
    assert incident.root.name == "NodeDown"
    held = next(member for member in incident.members.values() if member.name == "NodeDown")
    assert held.held.startswith("topology: ")
    kinds = [entry.kind for entry in house.incidents.timeline(incident.id)]
    assert "explained" in kinds


def test_a_more_urgent_cause_is_told() -> None:
    signs = [
        say("node", "VllmDown", "warning", 10, 300, **pod(3)),
        say("node", "NodeDown", "critical", 60, 280, **node(3)),
    ]
    house = House().play(signs)
    assert house.notifications(signs, "node") == (2, 1)
    [incident] = house.incidents.ordered(everything=True)
    assert incident.told is Tier.P1


def test_a_switch_takes_over_the_nodes_behind_it_and_their_incidents_merge() -> None:
    signs = [
        say("leaf", "NodeDown", "critical", 10, 300, **node(0)),
        say("leaf", "NodeDown", "critical", 40, 300, **node(1)),
        say("leaf", "SwitchDown", "critical", 90, 300, switch="leaf-0", rack="r0"),
    ]
    house = House().play(signs, until=100)
    first, second = sorted(house.incidents.ordered(everything=True), key=lambda one: one.id)
    assert (first.state, second.state, second.merged_into) == ("open", "merged", first.id)
    assert first.root.name == "SwitchDown"
    assert len(first.members) == 3
    described = house.incidents.describe(second.id)
    assert described is not None
    assert described["title"] == "NodeDown on node/n1"
    assert len(house.sent) == 2
    assert house.incidents.final(second.id) == first.id


def test_a_symptom_comes_back_when_its_last_cause_is_over() -> None:
    signs = [
        say("x", "NodeDown", "critical", 10, 100, **node(3)),
        say("x", "SwitchDown", "critical", 10, 200, switch="leaf-0", rack="r0"),
        say("y", "VllmDown", "critical", 20, 900, **pod(3)),
    ]
    house = House()
    house.play(signs, until=195)
    stage = next(stage for stage in house.alerting.stages if stage.name == "topology")
    alert = next(alert for alert in house.alerting.dispatcher.alerts if alert.name == "VllmDown")
    assert stage.holds(alert, Route(key="", receiver="log"), house.sent[-1][0])
    back = House().play(signs, until=1200)
    at = next(at for at, one in back.sent if any(alert.name == "VllmDown" for alert in one.alerts))
    ended = 200 if any(a.name == "SwitchDown" for _, one in back.sent for a in one.alerts) else 100
    assert at - 1_795_132_800_000 >= (ended + 290) * 1000 or ended == 100


def test_two_lost_nodes_of_a_rack_are_two_incidents_and_three_are_one() -> None:
    two = [say(f"n{n}", "NodeDown", "critical", 10, 300, **node(n)) for n in (0, 1)]
    house = House().play(two, until=60)
    assert len(house.incidents.ordered()) == 2
    three = [*two, say("n2", "NodeDown", "critical", 12, 300, **node(2))]
    assert len(House().play(three, until=60).incidents.ordered()) == 1


def test_a_disk_and_a_lost_gpu_of_one_node_are_two_incidents() -> None:
    signs = [
        say("disk", "DiskAlmostFull", "critical", 10, 300, **node(0)),
        say("gpu", "GpuXid79", "critical", 10, 300, node="n0", gpu="1", UUID="GPU-0-1"),
    ]
    house = House().play(signs, until=60)
    assert len(house.incidents.ordered()) == 2
    assert all(house.first_page(signs, fault) is not None for fault in ("disk", "gpu"))


def test_one_lost_replica_of_many_does_not_swallow_what_the_service_feels() -> None:
    known = [say("noise", "VllmInfo", "info", 0, 900, pod=f"chat-{n}", model_name="chat") for n in range(200)]
    signs = [
        say("lost", "VllmDown", "critical", 10, 300, pod="chat-7", model_name="chat"),
        say("slow", "HighTTFT", "critical", 15, 300, model_name="chat"),
    ]
    house = House().play([*known, *signs], until=100)
    assert house.first_page(signs, "slow") is not None
    alone = House().play(signs, until=100)  # a StatefulSet numbers its pods from 0: there are eight at least
    assert alone.notifications(signs, "slow")[0] == 0
