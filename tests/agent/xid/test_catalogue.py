"""The catalogue: complete, strict, with the presets as the facts have them, and the configuration on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.settings import AgentSettings
from agent.xid.catalogue import FILE, catalogue, difference_rows, presets, rows, spans
from agent.xid.settings import CodeSettings
from fleetowl.configuration import load
from model.document import read_yaml
from model.settings import ConfigurationError, load_section

DEFAULT = catalogue()


def test_every_code_up_to_173_is_there_and_no_other() -> None:
    assert list(DEFAULT) == list(range(1, 174))


def test_an_unknown_code_notifies_and_never_acts() -> None:
    for preset in presets().values():
        entry = preset[4242]
        assert (entry.tier, entry.action, entry.known, entry.repeat) == ("P3", "unknown", False, None)
        assert 4242 not in preset


def test_legacy_codes_are_known_and_ask_for_nothing() -> None:
    for code in spans(
        "1-7, 9, 10, 12, 14-24, 26-30, 33-36, 42, 47, 49-53, 55-59, 61, 65, 73, 81, 87, 90, 91"
    ):
        assert (DEFAULT[code].tier, DEFAULT[code].action) == ("P3", "unknown")
        assert DEFAULT[code].known


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (63, ["P2 reset_idle", "P3 ignore", "P1 replace", "P1 reboot_node", "P1 drain_reset"]),
        (92, ["P2 diagnose", "P3 ignore", "P3 ignore", "P2 diagnose", "P1 drain_reset"]),
        (94, ["P2 restart_app", "P3 restart_app", "P3 ignore", "P1 reboot_node", "P1 drain_reset"]),
        (109, ["P1 reset_gpu", "P1 reset_gpu", "P1 replace", "P2 reboot_node", "P1 reset_gpu"]),
        (45, ["P3 restart_fabric"] * 5),
        (32, ["P3 restart_app", "P3 restart_app", "P3 restart_app", "P1 reboot_node", "P1 reboot_node"]),
        (121, ["P3 ignore", "P3 ignore", "P3 ignore", "P1 reboot_node", "P1 reboot_node"]),
        (79, ["P0 power_cycle", "P0 power_cycle", "P0 replace", "P0 power_cycle", "P0 power_cycle"]),
    ],
)
def test_where_others_disagree_a_preset_says_what_they_say(code: int, expected: list[str]) -> None:
    said = {name: f"{preset[code].tier} {preset[code].action}" for name, preset in presets().items()}
    assert list(said) == ["fleetowl", "nvidia", "eks", "gpud", "strict"]
    assert list(said.values()) == expected


def test_codes_of_p0_to_p2_count_from_zero() -> None:
    begun = DEFAULT.counted_from_zero()
    assert {48, 63, 74, 79, 94, 95, 119, 149, 154} <= set(begun)
    assert not {13, 31, 43, 45, 121, 14} & set(begun)


def test_repeat_rules_are_those_of_the_table() -> None:
    for code, times, hours, same, alone in (
        (13, 2, 24, "unit", True),
        (31, 2, 24, "gpu", True),
        (32, 2, 24, "gpu", True),
        (43, 3, 1 / 6, "gpu", True),
        (126, 2, 24, "gpu", True),
    ):
        rule = DEFAULT[code].repeat
        assert rule is not None
        assert (rule.times, rule.within, rule.same, rule.alone) == (times, hours * 3_600_000, same, alone)
        assert rule.tier == "P2"
    assert catalogue("nvidia")[32].repeat is None
    assert catalogue("nvidia")[13].repeat is not None


def test_162_cancels_163() -> None:
    assert DEFAULT[162].cancels == (163,)


def settings(codes: dict[Any, Any], preset: str = "fleetowl") -> AgentSettings:
    return load_section(AgentSettings, {"xid": {"preset": preset, "codes": codes}}, "f.yml", "agent")


def test_the_configuration_wins_over_the_preset() -> None:
    found = settings({63: {"tier": "P0", "action": "replace"}, 300: {"meaning": "ours"}}, "eks").xid
    table = catalogue(found.preset, found.codes)
    assert (table[63].tier, table[63].action) == ("P0", "replace")
    assert (table[300].tier, table[300].meaning) == ("P3", "ours")
    assert table[64].action == "replace"


def test_repeat_rules_may_be_set_and_taken_away() -> None:
    rule = {"times": 5, "within": "1h", "tier": "P1"}
    found = settings({43: {"repeat": "none"}, 31: {"repeat": rule}}).xid
    table = catalogue(found.preset, found.codes)
    assert table[43].repeat is None
    changed = table[31].repeat
    assert changed is not None
    assert (changed.times, changed.within, changed.tier) == (5, 3_600_000, "P1")


def test_who_sets_a_tier_means_it_whatever_the_text_says() -> None:
    patched = catalogue(codes={74: CodeSettings(tier="P1")})
    assert patched[74].decode is None
    # The driver's own verdict goes before all.
    assert catalogue(codes={154: CodeSettings(tier="P3")})[154].decode == "recovery"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"codes": {63: {"action": "reset"}}}, "no action is called 'reset': did you mean reset_gpu?"),
        ({"codes": {63: {"tier": "P9"}}}, "agent.xid.codes.63.tier"),
        ({"codes": {0: {"tier": "P1"}}}, "no XID is 0"),
        ({"codes": {"sixty": {"tier": "P1"}}}, "agent.xid.codes.sixty"),
        ({"codes": {63: {"teir": "P1"}}}, "did you mean tier?"),
        ({"preset": "gpd"}, "agent.xid.preset"),
        ({"codes": {31: {"repeat": {"times": 1, "within": "1h"}}}}, "agent.xid.codes.31"),
        ({"codes": {31: {"repeat": {"times": 2, "within": "1h", "action": "nap"}}}}, "'nap'"),
    ],
)
def test_what_does_not_fit_is_said_with_the_way_out(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(AgentSettings, {"xid": section}, "f.yml", "agent")
    assert words in str(caught.value)


def test_a_file_with_overrides_loads(tmp_path: Path) -> None:
    path = tmp_path / "fleetowl.yml"
    path.write_text("agent: {xid: {preset: strict, codes: {63: {tier: P1, action: reset_gpu}}}}\n")
    assert load(path, {}).agent.xid.codes[63].tier == "P1"


def test_all_actions_are_words_and_used() -> None:
    document = read_yaml(FILE)
    assert all(words and not words.endswith(".") for words in document["actions"].values())
    used = {entry.action for preset in presets().values() for entry in preset.values()}
    used |= {entry.repeat.action for entry in DEFAULT.values() if entry.repeat}
    # These come from the driver's own verdict and from the text.
    from_text = {"drain_reset", "drain_p2p", "recover_imex", "reset_bus", "check_link", "check_peer"}
    assert set(document["actions"]) - used - from_text == set()


def test_the_tables_for_people() -> None:
    table = {row[0]: row for row in rows()}
    assert table["79"] == [
        "79",
        "hardware",
        "the GPU has fallen off the bus",
        "P0",
        "drain the node and switch it off and on",
        "",
    ]
    assert table["43"][5] == (
        "3 times in 10 min on the same GPU, and on no other GPU of the node: P2, run a diagnosis of the GPU"
    )
    assert "14" not in table
    assert [row[0] for row in difference_rows()][:2] == ["32", "38"]
