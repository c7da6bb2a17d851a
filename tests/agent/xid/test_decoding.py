"""What the text of an XID says beyond its number: NVLink 5, XID 74, XID 154."""

from __future__ import annotations

import pytest

from agent.xid import nvlink5, nvlink74
from agent.xid.catalogue import catalogue
from agent.xid.judgement import judge, recovery_action
from agent.xid.nvlink74 import Sign

TABLE = catalogue()
OLD, NEW = "570.86.15", "575.51.03"


def words(info: int, status: int = 0) -> str:
    return f"UNIT Fatal XC0 i0 Link 08 (0x{info:08x} 0x{status:08x} 0x00000000 0x00000000)"


def test_the_table_has_every_row_of_the_source() -> None:
    rows = 0
    for rule in nvlink5.rules():
        rows += len(rule.ignore) + len(rule.app) + len(rule.reset)
        if rule.reason is not None:
            rows += len(rule.reason.ignore) + len(rule.reason.reset)
    # 95 rows; one names two values.
    assert rows == 96


@pytest.mark.parametrize("rule", nvlink5.rules(), ids=lambda rule: f"{rule.xid}-{rule.name}")
@pytest.mark.parametrize("driver", [OLD, NEW])
def test_every_row_is_found_in_both_eras(rule: nvlink5._Rule, driver: str) -> None:
    code = rule.before << 5 if driver == OLD else rule.since
    if rule.reason is not None:
        cases = [(code | why << 20, 0, "reset") for why in rule.reason.reset]
        cases += [(code | why << 20, 0, "ignore") for why in rule.reason.ignore]
    else:
        lists = (("ignore", rule.ignore), ("app", rule.app), ("reset", rule.reset))
        cases = [(code, status, outcome) for outcome, values in lists for status in values]
    for info, status, outcome in cases:
        found = nvlink5.decode(rule.xid, words(info, status), driver)
        assert found is not None
        assert (found.outcome, found.by_table, found.link) == (outcome, True, 8)


def test_the_driver_s_version_decides_where_the_sub_code_is() -> None:
    # As the old era writes it: sub-code 14 in bits 9 to 5, unit 6, reason 4.
    info = 0x004505C6
    assert nvlink5.decode(149, words(info), OLD) == nvlink5.Decoded("UNIT", "reset", 8, True, True)
    as_new = nvlink5.decode(149, words(info), NEW)
    assert as_new is not None
    assert not as_new.by_table  # 0x46 is no sub-code of the new era: the word Fatal decides
    # The same word: sub-code 8 with a harmless status, or sub-code 4 with one that kills the application.
    assert judge(TABLE[145], words(0x104, 0x1), OLD).action == "ignore"
    assert judge(TABLE[145], words(0x104, 0x1), NEW).action == "restart_app"


def test_without_a_version_both_readings_must_agree() -> None:
    found = nvlink5.decode(149, words(0x004505C6))
    assert found is not None
    assert found.by_table
    # Only the old era reads anything in this.
    found = nvlink5.decode(146, words(9 << 5 | 13, 0x4))
    assert found is not None
    assert (found.outcome, found.by_table) == ("reset", True)
    # The old era reads a reset, the new one an application's error.
    torn = nvlink5.decode(145, words(0x104, 0x2))
    assert torn is not None
    assert not torn.by_table


def test_several_errors_at_once_are_as_bad_as_the_worst() -> None:
    found = nvlink5.decode(144, words(0x21, 0x4 | 0x10), OLD)
    assert found is not None
    assert (found.outcome, found.by_table) == ("reset", True)
    mild = nvlink5.decode(144, words(0x21, 0x4 | 0x20), OLD)
    assert mild is not None
    assert mild.outcome == "ignore"


@pytest.mark.parametrize(("driver", "bit", "code"), [(OLD, 10, 6 << 5), (NEW, 7, 6)])
def test_a_promoted_error_asks_for_a_reset(driver: str, bit: int, code: int) -> None:
    plain = nvlink5.decode(145, words(code, 0x1), driver)
    promoted = nvlink5.decode(145, words(code | 1 << bit, 0x1), driver)
    assert plain is not None
    assert promoted is not None
    assert (plain.outcome, promoted.outcome) == ("ignore", "reset")


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("NVLPW_CTRL Fatal XC0 i0 Link 05", "P1"),
        ("TREX_ERR Nonfatal XC 00 i 00 Link 02 (0x00000005)", "P3"),
        ("NETIR_LINK_EVT Link Fatal XC0 i0 Link 02", "P1"),
        ("driver-specific detail", "P2"),
        ("", "P2"),
    ],
)
def test_what_is_not_in_the_table_goes_by_its_word(text: str, tier: str) -> None:
    judgement = judge(TABLE[149], text, NEW)
    assert judgement.tier == tier
    assert judgement.decoded == (tier != "P2")


def registers(**bits: int) -> str:
    values = [bits.get(f"r{number}", 0) for number in range(1, 8)]
    return f"NVLink: fatal error detected on link 3({', '.join(f'0x{value:x}' for value in values)})"


@pytest.mark.parametrize(
    ("bits", "tier", "action"),
    [
        ({"r1": 1 << 0 | 1 << 23 | 1 << 30}, "P3", "ignore"),
        ({"r1": 1 << 1 | 1 << 20}, "P3", "check_peer"),
        ({"r1": 1 << 4}, "P2", "diagnose"),
        ({"r1": 1 << 8}, "P1", "check_link"),
        ({"r1": 1 << 21}, "P2", "check_link"),
        ({"r1": 1 << 27}, "P3", "check_peer"),
        ({"r3": 1 << 6}, "P2", "diagnose"),
        ({"r3": 1 << 13}, "P2", "support"),
        ({"r3": 1 << 17}, "P3", "check_peer"),
        ({"r4": 1 << 16}, "P3", "check_peer"),
        ({"r4": 1 << 18}, "P1", "reset_gpu"),
        ({"r5": 1 << 28}, "P2", "diagnose"),
        ({"r5": 1 << 29}, "P3", "ignore"),
        ({"r1": 1 << 0, "r5": 1 << 18}, "P2", "diagnose"),
        # Nobody says what these are: as without the text.
        ({"r2": 1}, "P1", "reset_gpu"),
        ({"r1": 1 << 0 | 1 << 31}, "P1", "reset_gpu"),
        ({}, "P1", "reset_gpu"),
    ],
)
def test_the_registers_of_xid_74(bits: dict[str, int], tier: str, action: str) -> None:
    judgement = judge(TABLE[74], registers(**bits))
    assert (judgement.tier, judgement.action, judgement.unit) == (tier, action, "link 3")


def test_no_bit_of_xid_74_is_two_things() -> None:
    for signs in nvlink74.BITS.values():
        every = [bit for bits in signs.values() for bit in bits]
        assert len(every) == len(set(every))
    assert set(nvlink74.IN_WORDS) == set(Sign)


def test_xid_74_without_registers_is_not_decoded() -> None:
    judgement = judge(TABLE[74], "NVLink: fatal error detected on link 6")
    assert (judgement.tier, judgement.decoded) == ("P1", False)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", 1),
        ("GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", 2),
        ("GPU recovery action changed from 0x0 (None) to 0x2 (OS Reboot)", 2),
        ("GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)", 3),
        ("GPU recovery action changed from 0x3 (Drain P2P) to 0x4 (Drain and Reset)", 4),
        # The name counts: numbers have changed between branches.
        ("GPU recovery action changed from 0x0 (None) to 0x1 (Drain and Reset)", 4),
        ("GPU recovery action changed from 0x4 (Drain and Reset) to 0x0 (None)", 0),
        ("GPU recovery action changed from 0x0 (None) to 0x5 (Something New)", 5),
        ("GPU recovery action changed from 0x0 (None) to 0x9 (Something New)", None),
        ("GPU recovery action changed", None),
    ],
)
def test_the_driver_s_own_verdict(text: str, action: int | None) -> None:
    assert recovery_action(text) == action


def test_a_verdict_without_its_text_is_no_page() -> None:
    """By the number alone nobody knows whether it is the end of a trouble or its beginning."""
    assert judge(TABLE[154]).tier == "P2"
    assert not judge(TABLE[154]).decoded
