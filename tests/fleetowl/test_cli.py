"""The command line, as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleetowl.cli import main
from fleetowl.configuration import Configuration
from fleetowl.document import SECTIONS

HEAVY = ("numpy", "sqlalchemy", "aiohttp", "pydantic", "apprise", "lightkube", "promql_parser", "yaml")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['fleetowl', '--help']\n"
        "from fleetowl.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Watch GPU nodes" in done.stdout


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_version() -> None:
    assert run("version")[0:2] == (0, "fleetowl 0.1.0\n")


def test_the_defaults_are_a_good_configuration() -> None:
    status, out, err = run("check-config")
    assert (status, err) == (0, "")
    assert "fine" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("analyzr: {}", "analyzr: unknown key (did you mean analyzer?)"),
        ("analyzer: {listen: nowhere}", "write host:port"),
        ("analyzer: {tick: 5}", "analyzer.tick: 5 has no unit: write 5s or 5m"),
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("- a list", "holds a list, not sections"),
        ("{", "is not YAML"),
        ("alertmanager: {route: {receiver: nobody}}", "'nobody' is not in receivers"),
        ("rules: {files: [/no/such.rules.yml]}", "/no/such.rules.yml"),
    ],
)
def test_a_wrong_configuration_is_exit_2_with_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.yml"
    path.write_text(text)
    status, out, err = run("check-config", "--config", str(path))
    assert status == 2, out
    assert said in err
    assert out == ""


PLAIN = """
route: {receiver: team, routes: [{receiver: team, mute_time_intervals: [nights]}]}
receivers: [{name: team, webhook_configs: [{url: "http://127.0.0.1/"}]}]
time_intervals: [{name: nights, time_intervals: [{times: [{start_time: "22:00", end_time: "24:00"}]}]}]
inhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d]}]
"""


def test_a_plain_alertmanager_yml_is_known_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(PLAIN)
    status, out, err = run("check-config", "--config", str(path))
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"{path}: fine (Alertmanager's own model)",
        "receivers: 1 (1 webhook)",
        "routes: 2",
        "inhibit rules: 1",
        "time intervals: 1",
    ]
    path.write_text(PLAIN.replace("[nights]", "[nigths]").replace("c=d", "c"))
    status, out, err = run("check-config", "--config", str(path))
    assert (status, out) == (2, "")
    assert "route.routes.0.mute_time_intervals.0: 'nigths' is not in time_intervals: did you mean" in err
    assert "inhibit_rules.0.target_matchers.0: 'c' cannot be read" in err


def test_an_integration_that_cannot_be_sent_is_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    jira = "jira_configs: [{project: P, issue_type: Bug, api_url: 'http://jira'}]"
    path.write_text(f"route: {{receiver: team}}\nreceivers: [{{name: team, {jira}}}]")
    status, _, err = run("check-config", "--config", str(path))
    assert status == 2
    assert f"{path}: receivers.0.jira_configs.0: cannot be notified" in err


def test_config_file_is_checked_with_the_file_that_names_it(tmp_path: Path) -> None:
    plain, own = tmp_path / "alertmanager.yml", tmp_path / "fleetowl.yml"
    own.write_text(f"analyzer: {{}}\nalertmanager: {{config_file: {plain}, external_url: 'http://owl'}}")
    plain.write_text(PLAIN)
    status, out, err = run("check-config", "--config", str(own))
    assert (status, err) == (0, "")
    assert "receivers: 1 (1 webhook); routes: 2; inhibit rules: 1; time intervals: 1" in out
    plain.write_text(PLAIN.replace("url:", "ulr:"))
    own.write_text(own.read_text().replace("analyzer:", "analyzr:"))
    status, _, err = run("check-config", "--config", str(own))
    assert status == 2
    assert f"{plain}: receivers.0.webhook_configs.0.ulr: unknown key" in err
    assert f"{own}: analyzr: unknown key" in err


def test_a_missing_configuration_is_exit_2() -> None:
    status, _, err = run("check-config", "--config", "/no/such.yml")
    assert status == 2
    assert "/no/such.yml" in err


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fleetowl.yml"
    path.write_text("analyzer: {tick: 1s}")
    monkeypatch.setenv("FLEETOWL_ANALYZER__TICK", "nonsense")
    status, _, err = run("check-config", "--config", str(path))
    assert status == 2
    assert "analyzer.tick" in err


def test_rules_check_says_what_would_not_load(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]")
    bad.write_text("groups: [{name: a, rules: [{alert: A, expr: 'up =='}]}]")
    assert run("rules", "check", str(good))[0] == 0
    status, _, err = run("rules", "check", str(good), str(bad))
    assert status == 1
    assert str(bad) in err
    assert str(good) not in err


def test_rules_check_shows_what_loaded_and_what_was_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]")
    (tmp_path / "a.test.yml").write_text("tests: []")
    status, out, err = run("rules", "check", str(tmp_path))
    assert (status, out.split()) == (
        0,
        ["FILE", "GROUPS", "ALERTS", "RECORDS", f"{tmp_path}/a.yml", "1", "1", "0"],
    )
    assert "passed over, unit tests:" in err
    (tmp_path / "b.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: 'up =='}, {alert: B}]}]")
    status, out, _ = run("rules", "check", str(tmp_path), "-o", "json")
    data = json.loads(out)
    assert (status, len(data["files"]), len(data["problems"])) == (1, 1, 2)
    assert {problem["key"] for problem in data["problems"]} == {
        "group a, rule 1 A.expr",
        "group a, rule 2 B.expr",
    }


@pytest.mark.parametrize("command", ["check", "test"])
def test_paths_that_are_not_there_are_exit_2(tmp_path: Path, command: str) -> None:
    status, out, err = run("rules", command, str(tmp_path), "/no/such.yml")
    assert (status, out) == (2, "")
    assert "/no/such.yml: does not exist" in err
    status, out, err = run("rules", command, str(tmp_path))
    assert (status, out) == (2, "")
    assert str(tmp_path) in err
    assert run("rules", command)[0] == 2


def test_rules_test_says_what_passed_and_what_failed(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "sub" / "bad.yml"
    bad.parent.mkdir()
    good.write_text("tests: [{promql_expr_test: [{expr: '1', exp_samples: [{value: 1}]}]}]")
    bad.write_text("tests: [{promql_expr_test: [{expr: '1', exp_samples: [{value: 2}]}]}]")
    assert run("rules", "test", str(good)) == (0, f"Unit Testing:  {good}\n  SUCCESS\n\n", "")
    status, out, _ = run("rules", "test", str(tmp_path))
    assert status == 1
    assert (out.count("SUCCESS"), out.count("FAILED")) == (1, 1)
    status, out, _ = run("rules", "test", str(tmp_path), "--output", "json")
    assert (status, json.loads(out)["failed"]) == (1, 1)
    bad.write_text("tests: [{")
    assert run("rules", "test", str(bad))[0] == 1


def test_rules_export_writes_plain_rules(tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said, err = run("rules", "export", "--output", str(out))
    assert (status, err) == (0, "")
    written = sorted(out.iterdir())
    assert [str(path) for path in written] == said.split()
    assert all(path.name.endswith(".rules.yml") for path in written)
    assert not any("[$scrapes" in path.read_text() for path in written)
    status, said, _ = run(
        "rules", "export", "--output", str(out), "--format", "prometheusrule", "--scrape-interval", "1m"
    )
    assert status == 0
    assert all(path.name.endswith(".prometheusrule.yml") for path in out.iterdir())
    assert run("rules", "check", str(out))[0] == 0


@pytest.mark.parametrize("interval", ["5", "0s", "soon", "-5s"])
def test_a_wrong_scrape_interval_is_exit_2(tmp_path: Path, interval: str) -> None:
    status, _, err = run("rules", "export", "--output", str(tmp_path / "x"), "--scrape-interval", interval)
    assert status == 2
    assert "--scrape-interval" in err
    assert not (tmp_path / "x").exists()


def test_rules_export_overwrites_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("groups: []")
    status, out, err = run("rules", "export", "--output", str(tmp_path))
    assert (status, out) == (2, "")
    assert "mine.yml" in err
    status, out, err = run("rules", "export", "--output", str(tmp_path / "mine.yml"))
    assert (status, out) == (2, "")
    assert "is no folder" in err
    assert run("rules", "export")[0] == 2


def test_an_analyzer_that_is_not_there_is_one_line() -> None:
    status, out, err = run("incidents", "list", "--url", "http://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert "no analyzer answers at http://127.0.0.1:1" in err
    assert "--url" in err
    assert err.count("\n") == 1


def test_unknown_commands_are_exit_2() -> None:
    assert run("no-such-command")[0] == 2


def test_the_agent_needs_none_of_the_analyzers_libraries(tmp_path: Path) -> None:
    path = tmp_path / "agent.yml"
    path.write_text("agent: {interval: 1s}\nanalyzer: {listen: 127.0.0.1:1}\n")
    code = (
        "import sys\nfrom pathlib import Path\nfrom fleetowl.document import load_agent\nimport agent.main\n"
        f"print(load_agent(Path({str(path)!r})).interval)\n"
        "print([name for name in ('numpy', 're2', 'sqlalchemy', 'cramjam', 'lightkube', 'promql_parser', "
        "'apprise') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1000\n[]\n"


def test_the_agent_checks_its_section_and_the_names_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "agent.yml"
    path.write_text("agnet: {}\nagent: {intervall: 1s, listen: nowhere}\n")
    status, _, err = run("agent", "--config", str(path))
    assert status == 2
    assert "agnet: unknown key (did you mean agent?)" in err
    assert "agent.intervall: unknown key (did you mean interval?)" in err
    assert "agent.listen" in err


def test_the_sections_are_those_of_the_configuration() -> None:
    assert set(SECTIONS) == set(Configuration.model_fields)
