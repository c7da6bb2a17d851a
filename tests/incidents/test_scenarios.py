"""Fault by fault, and two at once: how often people hear of each, and that they hear of each."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.incidents.faults import FAULTS
from tests.incidents.house import House

RACKS = {"leaf", "rack"}
"""Faults of a whole rack: of one node they cannot be."""

SINGLE = [
    (fault, nodes)
    for fault in FAULTS
    for nodes in (1, 8, 50, 200)
    if (nodes > 1 or fault not in RACKS) and FAULTS[fault](nodes, 10)
]
PAIRS = [
    (*pair, nodes, gap)
    for pair in combinations(FAULTS, 2)
    for nodes, gap in ((24, 0), (24, 20), (24, -20), (1, 0), (1, 20))
    if set(pair) != RACKS and (nodes > 1 or not RACKS & set(pair))
]
"""The leaf switch of a rack that is lost anyway is no second fault."""


@pytest.mark.parametrize(("fault", "nodes"), SINGLE)
def test_one_fault_is_one_message_and_one_end(fault: str, nodes: int) -> None:
    signs = FAULTS[fault](nodes, 10)
    house = House().play(signs)
    assert house.notifications(signs, fault) == (1, 1)
    page = house.first_page(signs, fault)
    assert page is not None
    assert page <= 10
    assert len([one for one in house.incidents.ordered(everything=True) if not one.merged_into]) == 1


@pytest.mark.parametrize(("one", "other", "nodes", "gap"), PAIRS)
def test_of_two_faults_at_once_each_is_told(one: str, other: str, nodes: int, gap: int) -> None:
    first, second = FAULTS[one](nodes, 30), FAULTS[other](nodes, 30 + gap)
    house = House().play([*first, *second], until=600)
    for signs, fault in ((first, one), (second, other)):
        page = house.first_page(signs, fault)
        assert page is not None, fault
        assert page <= 10
