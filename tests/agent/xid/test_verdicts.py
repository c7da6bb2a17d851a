"""What is to be done about an XID: consequences, the driver's own verdict, repetitions, history."""

from __future__ import annotations

import pytest

from agent.xid.book import SETTLED
from agent.xid.kernel_text import FallenOff, XidLine
from tests.agent.xid.node import GPUS, PCI, TO_NONE, TO_REBOOT, TO_RESET, Node, repeated


def test_45_after_48_is_its_consequence(node: Node) -> None:
    node.xid(48)
    node.now += 3
    node.xid(45)
    assert node.counts() == {("0", "48"): 1, ("0", "45"): 1}
    assert node.verdicts()["45"] == [("P3", "ignore")]
    assert "it follows XID 48, which is the cause" in node.events[-1].text


def test_45_says_itself_what_it_follows(node: Node) -> None:
    node.xid(45, text="Ch 00000010, errorString CHANNEL, caused by previous Xid 149")
    assert "it follows XID 149" in node.events[-1].text


def test_45_alone_asks_for_the_application(node: Node) -> None:
    node.xid(48)
    node.now += 60
    node.xid(45)
    assert node.verdicts()["45"] == [("P3", "restart_fabric")]


def test_154_goes_before_the_table(node: Node) -> None:
    node.xid(109)
    assert node.verdicts()["109"] == [("P1", "reset_gpu")]
    node.xid(154, text=TO_REBOOT)
    assert node.verdicts()["109"] == [("P1", "reboot_node")]
    assert node.series()["fleetowl_xid_recovery_action{gpu=0,node=n1,uuid=GPU-0}"] == 2
    node.now += 2
    node.xid(119)
    assert "drain the node and reboot it, as the driver asks" in node.events[-1].text
    # What asks for nothing is not raised by it.
    node.xid(43)
    assert node.verdicts()["43"] == [("P3", "ignore")]


def test_154_to_none_ends_it_and_is_no_alert(node: Node) -> None:
    node.xid(109)
    node.xid(154, text=TO_RESET)
    node.now += 30
    node.xid(154, text=TO_NONE)
    assert node.verdicts() == {"109": [("P1", "reset_gpu")], "154": [("P3", "ignore")]}
    assert node.series()["fleetowl_xid_recovery_action{gpu=0,node=n1,uuid=GPU-0}"] == 0
    assert "asks for nothing any more" in node.events[-1].text


def test_the_field_goes_before_the_table_too(node: Node) -> None:
    node.xid(62)
    node.ledger.set_recovery("GPU-0", 2)
    assert node.verdicts()["62"] == [("P1", "reboot_node")]
    node.ledger.set_recovery("GPU-0", 0)
    assert node.verdicts()["62"] == [("P1", "reset_gpu")]
    node.ledger.set_recovery("GPU-0", 2_147_483_632)
    assert node.verdicts()["62"] == [("P1", "reset_gpu")]


def test_a_driver_that_was_loaded_anew_asks_for_nothing(node: Node) -> None:
    node.xid(154, text=TO_RESET)
    node.ledger.set_recovery("GPU-0", 0)  # not read yet since
    assert node.book.recovery(GPUS[0]) == 1
    node.ledger.set_recovery("GPU-0", 1)
    node.ledger.set_recovery("GPU-0", 0)
    assert node.book.recovery(GPUS[0]) == 0
    assert node.series()["fleetowl_xid_recovery_action{gpu=0,node=n1,uuid=GPU-0}"] == 0


def test_the_field_ends_what_it_has_had_time_to_confirm(node: Node) -> None:
    node.xid(154, text=TO_REBOOT)
    node.now += SETTLED - 1
    node.ledger.set_recovery("GPU-0", 0)
    node.ledger.set_recovery("GPU-0", 2_147_483_632)  # no verdict at all
    assert node.book.recovery(GPUS[0]) == 2
    node.now += 1
    node.ledger.set_recovery("GPU-0", 0)
    assert node.book.recovery(GPUS[0]) == 0
    assert node.series()["fleetowl_xid_recovery_action{gpu=0,node=n1,uuid=GPU-0}"] == 0


@pytest.mark.parametrize("at", [500.0, 5_000.0])
def test_the_field_ends_history_which_told_again_stays_ended(node: Node, at: float) -> None:
    node.ledger.from_history(XidLine(PCI[0], 154, text=TO_REBOOT), at)
    assert node.book.recovery(GPUS[0]) == 2
    node.now += SETTLED
    node.ledger.set_recovery("GPU-0", 0)
    node.ledger.from_history(XidLine(PCI[0], 154, text=TO_REBOOT), min(at, 1000.0))
    assert node.book.recovery(GPUS[0]) == 0


def test_162_cancels_163(node: Node) -> None:
    node.xid(163)
    assert "163" in node.verdicts()
    node.now += 5
    node.xid(162)
    assert "163" not in node.verdicts()
    assert any("cancelled_by=162" in name and "xid=163" in name for name in node.series())
    node.now += 5
    node.xid(163)
    assert "163" in node.verdicts()


def test_a_repetition_on_one_gpu_means_more(node: Node) -> None:
    node.xid(31)
    node.now += 10  # still the same failure
    node.xid(31)
    assert not repeated(node, 31)
    node.now += 3600
    node.xid(31)
    assert repeated(node, 31)
    assert ("P2", "diagnose") in node.verdicts()["31"]
    assert "it repeats" in node.events[-1].text


def test_on_several_gpus_it_is_the_software(node: Node) -> None:
    for _ in range(3):
        node.xid(31, gpu=0)
        node.xid(31, gpu=1)
        node.now += 3600
    assert not repeated(node, 31, gpu=0)
    assert not repeated(node, 31, gpu=1)


def test_a_repetition_must_be_within_its_time(node: Node) -> None:
    node.xid(31)
    node.now += 24 * 3600 + 60
    node.xid(31)
    assert not repeated(node, 31)


def test_43_three_times_in_ten_minutes(node: Node) -> None:
    for pause in (100, 100, 100):
        assert not repeated(node, 43)
        node.xid(43)
        node.now += pause
    assert repeated(node, 43)


@pytest.mark.parametrize(("units", "expected"), [(((1, 2), (1, 2)), True), (((1, 2), (1, 3)), False)])
def test_13_on_the_same_unit_may_be_the_hardware(
    node: Node, units: tuple[tuple[int, int], ...], expected: bool
) -> None:
    for gpc, tpc in units:
        node.xid(13, text=f"Graphics SM Warp Exception on (GPC {gpc}, TPC {tpc}, SM 0): Out Of Range Address")
        node.now += 3600
    assert repeated(node, 13) is expected


def test_many_lines_of_one_failure_are_no_repetition(node: Node) -> None:
    for _ in range(5):
        node.xid(13, text="Graphics SM Warp Exception on (GPC 1, TPC 2, SM 0): x")
        node.now += 5
    assert not repeated(node, 13)


def test_13_scattered_over_the_chip_is_the_software(node: Node) -> None:
    for _ in range(3):
        for tpc in range(4):
            node.xid(13, text=f"Graphics SM Warp Exception on (GPC 0, TPC {tpc}, SM 0): x")
        node.now += 3600
    assert not repeated(node, 13)


def test_74_more_than_twice_on_one_link_is_the_link(node: Node) -> None:
    parity = "NVLink: fatal error detected on link 3(0x10, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"
    for _ in range(2):
        node.xid(74, text=parity)
        node.now += 600
    assert node.verdicts()["74"] == [("P2", "diagnose")]
    node.xid(74, text=parity.replace("link 3", "link 4"))
    assert node.verdicts()["74"] == [("P2", "diagnose")]
    node.now += 600
    node.xid(74, text=parity)
    assert ("P1", "check_link") in node.verdicts()["74"]


def test_history_has_a_last_time_and_no_count(node: Node) -> None:
    node.ledger.from_history(XidLine(PCI[0], 48), 400.0)
    node.ledger.from_history(FallenOff(PCI[1]), 500.0)
    assert node.counts() == {}
    assert node.events == []
    assert node.ledger.last("GPU-0") == 48
    assert node.ledger.last("GPU-1") == 79
    assert node.ledger.last("GPU-2") == 0
    times = {name: value for name, value in node.series().items() if "last_timestamp" in name}
    assert sorted(times.values()) == [1_700_000_400.0, 1_700_000_500.0]
    assert node.ledger.recent("GPU-0", 0) == {}


def test_history_counts_for_repetitions_and_for_the_driver_s_verdict(node: Node) -> None:
    node.ledger.from_history(XidLine(PCI[0], 31), 400.0)
    node.ledger.from_history(XidLine(PCI[0], 154, text=TO_RESET), 500.0)
    node.xid(31)
    assert repeated(node, 31)
    assert node.series()["fleetowl_xid_recovery_action{gpu=0,node=n1,uuid=GPU-0}"] == 1
