"""What is told together though no edge joins it, and what is told all the same."""

from __future__ import annotations

from tests.incidents.faults import node, pod, say
from tests.incidents.house import House, Sign


def lost(number: int, at: int, fault: str = "rack") -> Sign:
    return say(fault, "NodeDown", "critical", at, 400, node=f"n{number}")


def test_nodes_of_an_unknown_rack_are_one_matter_from_the_third_on() -> None:
    signs = [lost(number, 10 + number) for number in range(4)]
    house = House().play(signs)
    assert house.notifications(signs, "rack") == (1, 1)


def test_a_rack_may_have_a_sites_own_prefix() -> None:
    signs = [
        say("rack", "PduOutletOff", "critical", 10, 400, topology_rack="r0"),
        *[say("rack", "NodeDown", "critical", 15, 400, node=f"n{n}", topology_rack="r0") for n in range(3)],
    ]
    house = House().play(signs)
    assert house.notifications(signs, "rack") == (1, 1)


def test_two_racks_at_once_are_two_incidents() -> None:
    signs = [
        say(f"r{n // 8}", "NodeDown", "critical", 10, 400, **node(n)) for n in (*range(8), *range(8, 16))
    ]
    found = House().play(signs).incidents.ordered(everything=True)
    assert sorted(len(one.members) for one in found if one.state != "merged") == [8, 8]


def test_a_storm_of_one_name_on_one_thing_is_one_incident() -> None:
    signs = [
        say("disks", "DiskFull", "warning", 10, 400, **node(1), mountpoint=f"/data{n}") for n in range(40)
    ]
    house = House().play(signs)
    assert house.notifications(signs, "disks") == (1, 1)
    assert len(house.incidents.ordered(everything=True)) == 1


def test_a_second_disk_is_told_with_the_first() -> None:
    signs = [
        say("one", "DiskFull", "warning", 10, 400, **node(1), mountpoint="/"),
        say("two", "DiskFull", "warning", 100, 400, **node(1), mountpoint="/data"),
    ]
    page = House().play(signs).first_page(signs, "two")
    assert page is not None
    assert page <= 60


def test_what_names_no_place_joins_the_only_incident_that_just_began() -> None:
    signs = [
        say("node", "NodeDown", "critical", 10, 400, **node(1)),
        say("node", "TargetDown", "warning", 10, 400, job="kubelet"),
    ]
    house = House().play(signs)
    assert house.notifications(signs, "node") == (1, 1)
    [incident] = house.incidents.ordered(everything=True)
    assert any("a guess" in member.why for member in incident.members.values())


def test_of_two_incidents_nobody_guesses() -> None:
    signs = [
        say("one", "NodeDown", "critical", 10, 400, **node(1)),
        say("two", "NodeDown", "critical", 10, 400, **node(9)),
        say("none", "TargetDown", "warning", 20, 400, job="kubelet"),
    ]
    assert len(House().play(signs).incidents.ordered(everything=True)) == 3


def test_a_sign_that_joined_by_likelihood_is_told_if_it_stays() -> None:
    slow = {"pod": "chat-7d9f8c6b5-001ax", "model_name": "chat"}
    signs = [
        say("service", "ChatLatencyHigh", "warning", 10, 1900, model_name="chat"),
        say("replica", "QueueLong", "warning", 100, 1900, **slow),
    ]
    house = House().play(signs, until=1800)
    page = house.first_page(signs, "replica")
    assert page is not None
    assert 3 * 60 <= page <= 5 * 60


def test_replicas_more_urgent_than_what_was_told_of_their_rack_gather() -> None:
    signs = [
        *[say("rack", "InstanceDown", "warning", 10, 400, **node(n)) for n in range(4)],
        *[say("rack", "VllmDown", "critical", 40, 400, **pod(n, i)) for n in range(4) for i in range(2)],
    ]
    firing, _ = House().play(signs).notifications(signs, "rack")
    assert firing == 2


def test_the_same_rule_of_two_parts_of_a_thing_is_told_of_each() -> None:
    signs = [
        say(room, "RoomHot", "critical", at, 400, instance="thermometer:9100", room=room)
        for at, room in ((10, "attic"), (60, "cellar"))
    ]
    house = House().play(signs)
    assert house.first_page(signs, "attic") is not None
    assert house.first_page(signs, "cellar") is not None
    assert len({one.merged_into or one.id for one in house.incidents.ordered(everything=True)}) == 1


def test_both_ends_of_a_link_are_told_once() -> None:
    signs = [
        say("link", "NVLinkCrcErrors", "critical", at, 400, node="n0", gpu=gpu, UUID=f"GPU-0-{gpu}")
        for at, gpu in ((10, "5"), (60, "6"))
    ]
    assert House().play(signs).notifications(signs, "link") == (1, 1)


def test_one_of_few_replicas_is_a_load_on_the_others() -> None:
    other = {"pod": "chat-7d9f8c6b5-002ax", "model_name": "chat"}
    signs = [
        say("lost", "VllmDown", "critical", 10, 400, pod="chat-7d9f8c6b5-001ax", model_name="chat"),
        say("lost", "QueueLong", "warning", 60, 220, **other),
    ]
    assert House().play(signs).notifications(signs, "lost") == (1, 1)
