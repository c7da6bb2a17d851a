from __future__ import annotations

import json
from pathlib import Path

import pytest

from alertmanager.configuration_file import load_file
from analyzer.assembly import prepare, problems_of_alertmanager
from fleetowl.checks import check_configuration
from fleetowl.configuration import load
from model.settings import ConfigurationError

PLAIN = "route: {receiver: team, group_wait: 1s}\nreceivers: [{name: team}]\n"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(PLAIN)
    return path


def test_a_reload_reads_the_named_file_again(tmp_path: Path, plain: Path) -> None:
    own = tmp_path / "fleetowl.yml"
    own.write_text(f"alertmanager: {{config_file: {plain}, external_url: 'http://owl'}}")
    settings = load(own, {}).alertmanager
    assert (settings.plain, settings.route.group_wait, settings.external_url) == (True, 1000, "http://owl")
    plain.write_text(PLAIN.replace("1s", "2s"))
    assert load(own, {}).alertmanager.route.group_wait == 2000
    plain.unlink()
    with pytest.raises(ConfigurationError, match=r"alertmanager\.yml: cannot be read"):
        load(own, {})


def test_the_environment_can_name_the_file(plain: Path) -> None:
    settings = load(None, {"FLEETOWL_ALERTMANAGER__CONFIG_FILE": str(plain)}).alertmanager
    assert settings.config_file == plain


def test_what_is_wrong_in_the_environment_is_not_the_files_fault(tmp_path: Path) -> None:
    own = tmp_path / "fleetowl.yml"
    own.write_text("analyzer: {tick: soon}")
    variable = "FLEETOWL_DETECTORS__STREAMING__WEEKLY"
    for path, others in ((own, [(str(own), "analyzer.tick")]), (None, [])):
        with pytest.raises(ConfigurationError) as caught:
            load(path, {variable: "lots"})
        assert [(problem.file, problem.key) for problem in caught.value.problems] == [
            *others,
            (f"environment variable {variable}", "detectors.streaming.weekly"),
        ]


def test_what_is_wrong_in_both_files_is_said_at_once(tmp_path: Path, plain: Path) -> None:
    own = tmp_path / "fleetowl.yml"
    own.write_text(f"analyzer: {{tick: soon}}\nalertmanager: {{config_file: {plain}, route: {{}}}}")
    plain.write_text("route: {}")
    with pytest.raises(ConfigurationError) as caught:
        load(own, {})
    assert [(problem.file, problem.key) for problem in caught.value.problems] == [
        (str(own), "alertmanager.route"),
        (str(plain), "route.receiver"),
        (str(own), "analyzer.tick"),
    ]


def test_a_secrets_file_may_come_later_as_in_alertmanager(
    tmp_path: Path, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = "{url_file: /no/such/url}"
    plain.write_text(PLAIN.replace("{name: team}", f"{{name: team, webhook_configs: [{webhook}]}}"))
    assert problems_of_alertmanager(load_file(plain)) == []
    assert "/no/such/url cannot be read" in caplog.text


def test_what_alertmanager_loads_starts_here_too_but_for_kinds_without_a_sender(shared_data: Path) -> None:
    folder = shared_data / "alertmanager"
    expected = json.loads((folder / "expected.json").read_text())["files"]
    for name in (name for name, verdict in expected.items() if verdict == "load"):
        # A secret's file may come later: Alertmanager reads it when it notifies.
        problems = problems_of_alertmanager(load_file(folder / "config" / name))
        assert [str(problem) for problem in problems if "cannot be notified" not in str(problem)] == []


BROKEN = """
alertmanager:
  route: {receiver: team, group_wait: 5 minutes}
  receivers:
    - name: team
      telegram_configs: [{bot_token: "1:A"}]
      pagerduty_configs: [{routing_key: x, description: "{{ range }}"}]
    - {name: chat, slack_configs: [{channel: x}]}
analyzer: {tick: 1, dead_man: {command: [no-such-program]}}
incidents: {on_call: {people: [{name: ada, phone: [pager]}, {name: bo, im: [chat]}]}}
rules: {files: [gone.rules.yml]}
"""


def test_all_that_is_wrong_is_said_at_once_and_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "fleetowl.yml"
    path.write_text(BROKEN)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    keys = [problem.key for problem in caught.value.problems if problem.file == str(path)]
    assert keys == [
        "analyzer.tick",
        "alertmanager.route.group_wait",
        "alertmanager.receivers.0.telegram_configs.0",
        "alertmanager.receivers.1.slack_configs.0",
        "alertmanager.receivers.0.pagerduty_configs.0.description",
        "analyzer.dead_man.command.0",
        "incidents.on_call.people.0.phone.0",
    ]
    assert [problem.file for problem in caught.value.problems][-1] == "gone.rules.yml"


def test_what_is_wrong_between_sections_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fleetowl.yml"
    path.write_text("incidents: {on_call: {people: [{name: ada, phone: [pager]}]}}")
    with pytest.raises(ConfigurationError, match=rf"^{path}: incidents\.on_call\.people\.0\.phone\.0: "):
        prepare(load(path, {}))


def test_an_alertmanagers_file_is_checked_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(
        "route: {receiver: team, group_wait: 5 minutes}\n"
        "receivers: [{name: team, pagerduty_configs: [{routing_key: x, description: '{{ range }}'}]}]\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        list(check_configuration(path))
    assert [problem.key for problem in caught.value.problems] == [
        "route.group_wait",
        "receivers.0.pagerduty_configs.0.description",
    ]
    named = tmp_path / "fleetowl.yml"
    named.write_text(f"alertmanager: {{config_file: {path}}}")
    with pytest.raises(ConfigurationError) as again:
        load(named, {})
    assert again.value.problems == caught.value.problems


def test_an_alertmanagers_file_in_place_of_fleetowls_says_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text("route: {receiver: team}\nreceivers: [{name: team}]\n")
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    assert str(caught.value) == (
        f"{path}: this is an alertmanager.yml "
        f"(write a fleetowl.yml that names it: alertmanager: {{config_file: {path}}})"
    )
