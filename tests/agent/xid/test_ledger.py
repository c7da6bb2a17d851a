"""XIDs are counted once whoever tells of them, told in time, and what was before the agent is history."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.xid.catalogue import catalogue
from agent.xid.devices import Device
from agent.xid.ledger import PATIENCE
from agent.xid.pairing import WINDOW
from agent.xid.settings import XidSettings
from tests.agent.xid.node import GPUS, PCI, TO_REBOOT, TO_RESET, Node, repeated


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


@pytest.mark.parametrize("held", [True, False])
def test_however_often_syslog_says_that_it_repeated_it_is_one_step(node: Node, held: bool) -> None:
    for _ in range(3):
        node.driver(31, wait=held)
    node.kernel(f"kernel: message repeated 999999 times: [NVRM: Xid (PCI:{PCI[0]}): 31, Ch 1]")
    assert node.counts() == {("0", "31"): 999_999}
    assert sum(len(runs) for runs in node.ledger._pairing._runs.values()) <= 2
    node.driver(31)
    assert node.counts() == {("0", "31"): 999_999}


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


def test_addresses_that_a_broken_log_invents_do_not_become_series_without_end(node: Node) -> None:
    for bus in range(200):
        node.kernel(f"NVRM: Xid (PCI:0001:{bus:02x}:00): 48, x")
        node.kernel(f"NVRM: GPU at PCI:0002:{bus:02x}:00: GPU-b850f46d-d5ea-c752-ddf3-{bus:012x}")
        node.kernel(f"NVRM: Xid (PCI:0002:{bus:02x}:00): 48, x")
    counts = node.counts()
    assert len(counts) == 33
    assert sum(counts.values()) == 400
    assert counts["other", "48"] == 368
    node.xid(48)
    assert node.counts()["0", "48"] == 1
    assert len({name for name in node.series() if "gpu=other" in name}) < 5


def test_addresses_that_are_only_named_do_not_fill_memory(node: Node) -> None:
    for bus in range(10_000):
        node.kernel(f"NVRM: GPU at PCI:{bus:04x}:00:00: GPU-b850f46d-d5ea-c752-ddf3-{bus:012x}")
    assert len(node.ledger._uuids) <= 256


@pytest.mark.parametrize("read_before", [True, False])
def test_a_gpu_that_was_replaced_is_forgotten(node: Node, read_before: bool) -> None:
    if read_before:
        node.series()
    node.xid(154, text=TO_REBOOT)
    node.xid(31, gpu=1)
    node.devices.known = [Device("0", "GPU-new"), GPUS[1], GPUS[2]]
    series = node.series()
    assert not any("GPU-0" in name for name in series)
    assert series["fleetowl_xid_total{gpu=0,node=n1,uuid=GPU-new,xid=48}"] == 0
    assert node.counts() == {("1", "31"): 1}
    assert node.ledger.last("GPU-0") == 0
    # Were it to come back, nothing would be known of it.
    node.devices.known = list(GPUS)
    node.now += 3600
    node.xid(31)
    assert not repeated(node, 31)
    assert node.book.recovery(GPUS[0]) == 0


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
