"""The export: plain Prometheus rules, changed only where they must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model.moment import MINUTE, SECOND
from model.settings import ConfigurationError
from rules.aliases import expand_aliases
from rules.export import MARK, Export, Form
from rules.files import load_rule_file
from rules.group import AlertRule
from rules.packs import shipped
from rules.promql.scrapes import Span, substitute
from tests.rules.promtool import promtool

PACK = """\
# Why these rules are.
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Slow  # beside the key
        # about $scrapes(4), not changed
        expr: |
          rate(a[$scrapes(4)]) > 1.50

            and b > 1e3
        for: $scrapes(2)
        keep_firing_for: '$scrapes(8)'
        labels: {tier: P1, version: 1.10}
        annotations: {summary: "{{ $labels.x }} over $scrapes(4)"}
      - {record: x:y, expr: 'sum(a{b="''"}) by (c)'}
"""
TESTS = """\
rule_files: [p.rules.yml]
evaluation_interval: 15s
tests:
- interval: 15s
  input_series:
  - {series: 'a{x="1"}', values: '0+60x20'}
  - {series: 'b{x="1"}', values: '2000x20'}
  alert_rule_test:
  - {eval_time: 15s, alertname: Slow}
  - eval_time: 3m
    alertname: Slow
    exp_alerts:
    - exp_labels: {tier: P1, version: '1.10', x: '1'}
      exp_annotations: {summary: 1 over $scrapes(4)}
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "packs"
    folder.mkdir()
    path = folder / "p.rules.yml"
    path.write_text(PACK)
    (folder / "p.fleetowl.yml").write_text("g: {Slow: {explains: [Other]}}")
    return path


def body(text: str) -> str:
    """What follows the two lines of the head."""
    mark, origin, rest = text.split("\n", 2)
    assert mark == MARK
    assert origin == "# From p.rules.yml, for targets that are scraped every 15s."
    return rest


def test_only_scrapes_and_too_short_intervals_change(pack: Path) -> None:
    expected = (
        PACK.replace("a[$scrapes(4)]", "a[1m]")
        .replace("for: $scrapes(2)", "for: 30s")
        .replace("'$scrapes(8)'", "'2m'")
        .replace("interval: 1s", "interval: 15s")
    )
    assert body(Export().text(pack)) == expected


def test_the_interval_is_that_of_the_targets(pack: Path) -> None:
    document = yaml.safe_load(Export(interval=MINUTE).text(pack))
    assert document["groups"][0]["rules"][0]["for"] == "2m"


def test_aliases_are_written_out_and_the_rest_stays(pack: Path) -> None:
    text = Export(aliases={"a": ("a2",)}).text(pack)
    before, after = (yaml.safe_load(it)["groups"][0]["rules"] for it in (PACK, text))
    assert after[0]["expr"] == "(rate(a[1m]) or rate(a2[1m])) > 1.50\n\n  and b > 1e3\n"
    assert after[1]["expr"] == 'sum((a{b="\'"} or a2{b="\'"})) by (c)'
    assert after[0]["labels"] == before[0]["labels"]
    assert "# beside the key" in text


def test_an_object_of_the_operator(pack: Path, tmp_path: Path) -> None:
    [path] = Export(Form.PROMETHEUSRULE).write([pack], tmp_path / "out")
    assert path.name == "p.prometheusrule.yml"
    document = yaml.safe_load(path.read_text())
    assert document["metadata"]["name"] == "fleetowl-p"
    assert document["spec"] == yaml.safe_load(Export().text(pack))
    [group] = load_rule_file(path)
    alert = group.rules[0]
    assert isinstance(alert, AlertRule)
    assert alert.hold == Span(30 * SECOND)


def test_the_folder_then_holds_the_rules_and_nothing_else(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    Export(Form.PROMETHEUSRULE).write([pack], out)
    Export().write([pack], out)
    assert [path.name for path in out.iterdir()] == ["p.rules.yml"]
    Export().write([pack], out)
    assert [path.name for path in out.iterdir()] == ["p.rules.yml"]


@pytest.mark.parametrize("name", ["mine.rules.yml", "p.rules.yml", ".hidden", "folder"])
def test_what_no_export_wrote_stays(pack: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    foreign = out / name
    if name == "folder":
        foreign.mkdir()
    else:
        foreign.write_text("groups: []\n")
    with pytest.raises(ConfigurationError, match=rf"holds what no export wrote \({name}\)"):
        Export().write([pack], out)
    assert list(out.iterdir()) == [foreign]
    assert foreign.is_dir() or foreign.read_text() == "groups: []\n"


def test_a_flawed_pack_writes_nothing(pack: Path, tmp_path: Path) -> None:
    pack.write_text(PACK.replace("b > 1e3", "b >"))
    with pytest.raises(ConfigurationError, match="rule 1 Slow"):
        Export().write([pack], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(pack: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no folder"):
        Export().write([pack], pack)


@pytest.mark.peer
@pytest.mark.parametrize("interval", [15 * SECOND, MINUTE])
def test_promtool_takes_what_is_written(
    pack: Path, tmp_path: Path, interval: int, peer_binary: Callable[[str], str]
) -> None:
    written = Export(interval=interval).write([pack, *shipped()], tmp_path / "out")
    status, output = promtool(peer_binary, "check", "rules", *map(str, written))
    assert status == 0, output


@pytest.mark.peer
def test_promtool_runs_the_tests_of_a_pack_beside_its_export(
    pack: Path, tmp_path: Path, peer_binary: Callable[[str], str]
) -> None:
    out = tmp_path / "out"
    Export().write([pack], out)
    (out / "p.test.yml").write_text(TESTS)
    status, output = promtool(peer_binary, "test", "rules", str(out / "p.test.yml"))
    assert status == 0, output


ALIASES = {"a": ("b", "c"), "x:y": ("z",)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d + 1", "d + 1"),
        ("a", "(a or b or c)"),
        ('a{n="a", m=~`[}"]`} offset -5m @ 3 > bool 4 # a', None),
        ("sum by (a) (x:y)", "sum by (a) ((x:y or z))"),
        ("d * on(a) group_left(q) x:y", "d * on(a) group_left(q) (x:y or z)"),
        ("rate(x:y[5m] offset 5m)", "(rate(x:y[5m] offset 5m) or rate(z[5m] offset 5m))"),
        ("rate( (x:y [5m]) )", "(rate( (x:y [5m]) ) or rate( (z [5m]) ))"),
        ("max_over_time(rate(x:y[5m])[1h:])", "max_over_time((rate(x:y[5m]) or rate(z[5m]))[1h:])"),
        ("max_over_time(x:y[1h:1m])", "max_over_time((x:y or z)[1h:1m])"),
        ("quantile_over_time(0.9, x:y[$scrapes(4)])", None),
        ("absent(x:y{j='1'})", "(absent(x:y{j='1'}) and absent(z{j='1'}))"),
        ("absent_over_time(x:y[5m])", "(absent_over_time(x:y[5m]) and absent_over_time(z[5m]))"),
        ("absent(sum(x:y))", "absent(sum((x:y or z)))"),
        ("timestamp(x:y)", "(timestamp(x:y) or timestamp(z))"),
        ("label_replace(x:y, 'a', '$1', 'b', '(a)')", "label_replace((x:y or z), 'a', '$1', 'b', '(a)')"),
        ("time() - x:y", "time() - (x:y or z)"),
        ("x:y @ end() == x:y", "(x:y @ end() or z @ end()) == (x:y or z)"),
        ("x:y # c\n > 1", "(x:y or z) # c\n > 1"),
    ],
)
def test_aliases_widen_the_selector(text: str, expected: str | None) -> None:
    wide = expand_aliases(text, ALIASES)
    assert expected is None or wide == expected
    assert promql_parser.parse(substitute(wide))


@given(st.text(alphabet="a{}[]()\"'`5m, +#\nbyx:@"))
def test_without_aliases_nothing_changes(text: str) -> None:
    assert expand_aliases(text, {}) == text
