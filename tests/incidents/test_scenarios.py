"""Fault by fault, and two at once: how often people hear of each, and that they hear of each."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.incidents.faults import FAULTS
from tests.incidents.house import House


@pytest.mark.parametrize("nodes", [1, 8, 50, 200])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_one_message_and_one_end(fault: str, nodes: int) -> None:
    signs = FAULTS[fault](nodes, 10)
    if not signs or (fault in ("leaf", "rack") and nodes < 8):
        pytest.skip("there is no rack")
    house = House().play(signs)
    assert house.notifications(signs, fault) == (1, 1)
    page = house.first_page(signs, fault)
    assert page is not None
    assert page <= 10
    assert len([one for one in house.incidents.ordered(everything=True) if not one.merged_into]) == 1


@pytest.mark.parametrize(("one", "other"), list(combinations(FAULTS, 2)))
@pytest.mark.parametrize(("nodes", "gap"), [(24, 0), (24, 20), (24, -20), (1, 0), (1, 20)])
def test_of_two_faults_at_once_each_is_told(one: str, other: str, nodes: int, gap: int) -> None:
    if {one, other} == {"leaf", "rack"} or (nodes == 1 and {"leaf", "rack"} & {one, other}):
        pytest.skip("the rack of the leaf switch, or no rack")
    first, second = FAULTS[one](nodes, 30), FAULTS[other](nodes, 30 + gap)
    house = House().play([*first, *second], until=600)
    for signs, fault in ((first, one), (second, other)):
        page = house.first_page(signs, fault)
        assert page is not None, fault
        assert page <= 10
