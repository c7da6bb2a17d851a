"""XIDs are counted once whoever tells of them, told in time, and what was before the agent is history."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.xid.book import SETTLED
from agent.xid.catalogue import catalogue
from agent.xid.devices import Device
from agent.xid.kernel_text import FallenOff, XidLine
from agent.xid.ledger import PATIENCE
from agent.xid.pairing import WINDOW, Pairing
from agent.xid.settings import XidSettings
from tests.agent.xid.node import GPUS, PCI, Node

TO_RESET = "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
TO_REBOOT = "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
TO_NONE = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"


def test_counters_of_grave_codes_begin_at_zero(node: Node) -> None:
    series = node.series()
    for code in catalogue().counted_from_zero():
        assert series[f"fleetowl_xid_total{{gpu=2,node=n1,uuid=GPU-2,xid={code}}}"] == 0
    assert "fleetowl_xid_total{gpu=0,node=n1,uuid=GPU-0,xid=31}" not in series


@pytest.mark.parametrize("first", ["driver", "kernel"])
def test_two_tellers_are_one_xid(node: Node, first: str) -> None:
    if first == "driver":
        node.driver(48)
        node.now += WINDOW - 0.5
    node.xid(48)
    if first == "kernel":
        node.now += WINDOW - 0.5
        node.driver(48)
    assert node.counts() == {("0", "48"): 1}
    assert [event.type for event in node.events] == ["xid"]


def test_two_of_one_teller_are_two(node: Node) -> None:
    node.xid(48)
    node.now += 1.5
    node.xid(48)
    node.driver(48)
    node.driver(48)
    assert node.counts() == {("0", "48"): 2}
    node.driver(48)
    assert node.counts() == {("0", "48"): 3}


def test_beyond_the_window_it_is_another(node: Node) -> None:
    node.xid(48)
    node.now += WINDOW + 0.1
    node.driver(48)
    assert node.counts() == {("0", "48"): 2}


def test_gpus_and_codes_are_told_apart(node: Node) -> None:
    node.xid(48, gpu=0)
    node.driver(48, gpu=1)
    node.driver(63, gpu=0)
    assert node.counts() == {("0", "48"): 1, ("1", "48"): 1, ("0", "63"): 1}


def test_a_step_of_the_wall_clock_changes_nothing(node: Node) -> None:
    node.xid(48)
    node.step = -3600.0
    node.wall.look()
    node.now += 1
    node.driver(48)
    assert node.counts() == {("0", "48"): 1}
    ages = [
        node.wall.at(node.now) - value for name, value in node.series().items() if "last_timestamp" in name
    ]
    assert ages == [pytest.approx(1.0, abs=0.01)]


def test_an_event_waits_for_the_kernel_s_line_which_says_more(node: Node) -> None:
    assert node.driver(154, wait=True) == PATIENCE < 1
    assert node.events == []
    node.now += 0.1
    node.xid(154, text=TO_REBOOT)
    assert node.counts() == {("0", "154"): 1}
    assert node.verdicts()["154"] == [("P1", "reboot_node")]
    node.now += 1
    node.ledger.settle()
    assert node.counts() == {("0", "154"): 1}
    assert len(node.events) == 1
    assert "python3 (pid 77)" in node.events[0].text


def test_an_event_that_no_line_follows_counts_by_itself(node: Node) -> None:
    node.driver(48, wait=True)
    node.now += PATIENCE / 2
    node.ledger.settle()
    assert node.counts() == {}
    node.now += PATIENCE
    node.ledger.settle()
    assert node.counts() == {("0", "48"): 1}


def test_two_held_events_and_two_lines_are_two(node: Node) -> None:
    for _ in range(2):
        node.driver(31, wait=True)
    for _ in range(2):
        node.xid(31)
    node.now += 1
    node.ledger.settle()
    assert node.counts() == {("0", "31"): 2}


def test_a_late_line_still_says_more(node: Node) -> None:
    node.driver(154)
    assert node.verdicts()["154"] == [("P2", "ask_driver")]
    node.now += 2
    node.xid(154, text=TO_RESET)
    assert node.counts() == {("0", "154"): 1}
    assert node.verdicts()["154"] == [("P1", "reset_gpu")]
    assert len(node.events) == 2


def test_what_a_late_line_says_goes_before_what_the_number_said(node: Node) -> None:
    node.driver(149)
    assert node.verdicts()["149"] == [("P2", "ask_driver")]
    node.now += 2
    node.xid(149, text="NETIR_LINK_DOWN Nonfatal XC0 i0 Link 03 (0x02600011 0x0 0x0)")
    assert node.verdicts()["149"] == [("P3", "ignore")]


def test_a_storm_is_counted_and_told_once_a_second(node: Node) -> None:
    for _ in range(2000):
        node.xid(31)
        node.driver(31)
        node.now += 0.002
    assert node.counts() == {("0", "31"): 2000}
    assert len(node.events) == 4
    assert "times since it was last told" in node.events[1].text
    assert sum(node.ledger.recent("GPU-0", 0).values()) == 2000


def test_plain_words_are_no_second_xid(node: Node) -> None:
    words = "NVRM: GPU 0000:b0:00.0: GPU has fallen off the bus."
    node.xid(79)
    node.driver(79)
    node.kernel(words)
    node.kernel(words)
    assert node.counts() == {("0", "79"): 1}


def test_plain_words_alone_are_an_xid_79(node: Node) -> None:
    node.kernel("NVRM: GPU 0000:b0:00.0: GPU has fallen off the bus.")
    node.xid(79)
    node.driver(79)
    assert node.counts() == {("0", "79"): 1}
    assert node.events[0].labels["xid"] == "79"


def test_a_held_event_counts_with_the_plain_words(node: Node) -> None:
    node.driver(79, wait=True)
    node.kernel("NVRM: GPU 0000:b0:00.0: GPU has fallen off the bus.")
    node.now += 1
    node.ledger.settle()
    assert node.counts() == {("0", "79"): 1}


def test_syslog_s_repetitions_count(node: Node) -> None:
    node.kernel(f"kernel: message repeated 3 times: [NVRM: Xid (PCI:{PCI[0]}): 31, Ch 1]")
    assert node.counts() == {("0", "31"): 3}


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


def repeated(node: Node, code: int, gpu: int = 0) -> bool:
    return any(
        f"gpu={gpu}," in name and f"xid={code}}}" in name and "repeated=true" in name
        for name in node.series()
    )


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


def test_the_last_code_and_the_window_of_dcgm(node: Node) -> None:
    node.xid(48)
    node.now += 290
    node.xid(63)
    assert node.ledger.last("GPU-0") == 63
    assert node.ledger.recent("GPU-0", 0) == {48: 1, 63: 1}
    node.now += 20
    assert node.ledger.recent("GPU-0", 0) == {63: 1}
    node.now += 300
    assert node.ledger.recent("GPU-0", 0) == {}
    assert node.ledger.last("GPU-0") == 63


def test_a_gpu_that_nobody_knows_is_counted_under_its_address(node: Node) -> None:
    node.devices.known = []
    node.xid(79, gpu=1)
    assert node.events[0].labels == {"node": "n1", "gpu": PCI[1], "uuid": "", "xid": "79"}
    assert node.series()[f"fleetowl_xid_total{{gpu={PCI[1]},node=n1,xid=79}}"] == 1
    # It becomes known, and takes over what was counted.
    node.devices.known = list(GPUS)
    assert node.counts() == {("1", "79"): 1}
    assert not any(PCI[1] in name for name in node.series())
    assert node.ledger.last("GPU-1") == 79


def test_the_driver_names_who_is_at_an_address(node: Node) -> None:
    node.devices.known = []
    node.kernel(f"NVRM: GPU at PCI:{PCI[1]}: GPU-b850f46d-d5ea-c752-ddf3-c6c4a8c2a2f2")
    node.xid(79, gpu=1)
    assert node.events[0].labels["uuid"] == "GPU-b850f46d-d5ea-c752-ddf3-c6c4a8c2a2f2"


def test_a_gpu_with_a_new_number_keeps_its_count(node: Node) -> None:
    node.xid(48, gpu=1)
    node.devices.known = [Device("0", "GPU-1")]
    assert node.counts() == {("0", "48"): 1}


def test_an_unknown_code_is_told_and_asks_for_nothing(node: Node) -> None:
    node.xid(999)
    assert node.verdicts()["999"] == [("P3", "unknown")]
    assert "do nothing to the GPU for it" in node.events[0].text


def test_codes_that_a_broken_log_invents_do_not_become_series_without_end(node: Node) -> None:
    for code in range(1000, 1200):
        node.xid(code)
    counts = node.counts()
    assert len(counts) == 65
    assert sum(counts.values()) == 200
    assert counts["0", "0"] == 136
    node.xid(10_000)
    node.driver(2**40)
    assert sum(node.counts().values()) == 200


def test_other_events_of_the_driver_are_not_for_here(node: Node) -> None:
    node.ledger.from_driver(
        {
            "say": "event",
            "kind": "unavailable",
            "uuid": "GPU-0",
            "code": 48,
            "gpu_instance": -1,
            "compute_instance": -1,
        },
        wait=False,
    )
    assert node.counts() == {}


def test_who_told_is_counted(node: Node) -> None:
    node.xid(48)
    node.driver(48)
    node.kernel("NVRM: GPU 0000:b0:00.0: GPU has fallen off the bus.")
    told = {name: value for name, value in node.series().items() if "sightings" in name}
    assert told == {
        "fleetowl_xid_sightings_total{node=n1,source=driver}": 1,
        "fleetowl_xid_sightings_total{node=n1,source=kernel}": 1,
        "fleetowl_xid_sightings_total{node=n1,source=words}": 1,
    }


def test_the_samples_ahead_let_an_increase_be_seen(node: Node) -> None:
    node.xid(31)
    (event,) = node.events
    assert event.value == 1
    before, counter, last = event.ahead
    assert str(counter.labels) == (
        'fleetowl_xid_total{gpu="0", instance="n1", job="fleetowl-agent", node="n1", uuid="GPU-0", xid="31"}'
    )
    assert (before.labels, before.value, before.at) == (counter.labels, 0.0, event.at - 1)
    assert (counter.value, counter.at) == (1.0, event.at)
    assert (last.labels["tier"], last.labels["action"]) == ("P3", "restart_app")
    assert last.value == 1_700_001_000
    # A series that has been pushed gets no zero.
    node.teller.known = {counter.labels}
    node.now += 2
    node.xid(31)
    assert [ahead.value for ahead in node.events[-1].ahead if ahead.labels.name.endswith("_total")] == [2.0]


def test_the_sentence(node: Node) -> None:
    node.xid(94, text="Contained: CE User Channel (0x9). RST: No, D-RST: No")
    assert node.events[0].text == (
        "XID 94 on GPU 0 (GPU-0) of n1: an uncorrectable memory error that was contained in one application; "
        "of process python3 (pid 77). P2: restart the application. "
        "The kernel says: Contained: CE User Channel (0x9). RST: No, D-RST: No"
    )


def test_a_preset_changes_what_is_said(node_with: Callable[[XidSettings], Node]) -> None:
    node = node_with(XidSettings.model_validate({"preset": "eks"}))
    node.xid(63)
    assert node.verdicts()["63"] == [("P1", "replace")]


def test_nvlink5_is_read_by_the_driver_s_version(node: Node) -> None:
    text = "RLW_X Fatal XC0 i0 Link 01 (0x00000104 0x00000001 0x0)"
    node.devices.version = "570.86.15"
    node.xid(145, text=text)
    node.devices.version = "580.95.05"
    node.xid(145, gpu=1, text=text)
    assert node.verdicts(0)["145"] == [("P3", "ignore")]
    assert node.verdicts(1)["145"] == [("P2", "restart_app")]


def test_switches_are_counted_and_told(node: Node) -> None:
    fatal = "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 22003, Fatal, Link 12 Minion Halt"
    for _ in range(3):
        node.kernel(fatal)
        node.kernel("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 22003, Severity 1 Engine instance 12")
    node.kernel("nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 24001, Non-fatal, Link 1 SBE")
    series = node.series()
    assert series["fleetowl_sxid_total{fatal=true,node=n1,nvswitch=3,sxid=22003}"] == 3
    assert series["fleetowl_sxid_total{fatal=false,node=n1,nvswitch=0,sxid=24001}"] == 1
    assert [event.type for event in node.events] == ["sxid", "sxid"]
    assert node.events[0].labels == {"node": "n1", "nvswitch": "3", "sxid": "22003", "fatal": "true"}
    assert "reset its GPUs and switches together" in node.events[0].text
    assert [ahead.value for ahead in node.events[0].ahead][:2] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("line", "fatal"),
    [
        ("11001, Fatal, Link 1 x", "true"),
        ("11001, Non-fatal, Link 1 x", "false"),
        ("11001, Link 1 x", "true"),
        ("23005, Link 1 x", "true"),
        ("12028, Link 1 x", "false"),
        ("31999, Link 1 x", "false"),
        ("31999, Fatal, Link 1 x", "true"),
    ],
)
def test_whether_an_error_of_a_switch_is_fatal(node: Node, line: str, fatal: str) -> None:
    node.kernel(f"nvidia-nvswitch1: SXid (PCI:0000:05:00.0): {line}")
    assert node.events[0].labels["fatal"] == fatal


_STEPS = st.lists(
    st.tuples(st.sampled_from(["driver", "kernel"]), st.sampled_from([48, 63]), st.floats(0, 3)), max_size=40
)


@given(_STEPS)
def test_pairing_is_between_the_larger_number_and_the_sum(steps: list[tuple[str, int, float]]) -> None:
    pairing = Pairing()
    now = 0.0
    counted = {48: 0, 63: 0}
    told = {("driver", 48): 0, ("driver", 63): 0, ("kernel", 48): 0, ("kernel", 63): 0}
    for origin, code, pause in steps:
        now += pause
        told[origin, code] += 1
        counted[code] += pairing.is_new(code, "driver" if origin == "driver" else "kernel", now)
    for code in counted:
        numbers = told["driver", code], told["kernel", code]
        assert max(numbers) <= counted[code] <= sum(numbers)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_what_both_tell_at_once_counts_once(pauses: list[float]) -> None:
    pairing = Pairing()
    now, counted = 0.0, 0
    for pause in pauses:
        now += pause
        counted += pairing.is_new("k", "kernel", now)
        counted += pairing.is_new("k", "driver", now + 0.01)
    assert counted == len(pauses)
