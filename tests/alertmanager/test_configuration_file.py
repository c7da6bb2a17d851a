from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alertmanager.configuration_file import load_file, load_named, summary
from alertmanager.route import build_route
from alertmanager.settings import (
    AlertmanagerSettings,
    FleetowlSettings,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
)
from alertmanager.settings.support import problems_of_kinds
from model.moment import HOUR, MINUTE, SECOND
from model.settings import ConfigurationError, load_section

BASE = "route: {receiver: r}\nreceivers: [{name: r}]\n"


class Files:
    """Writes files into a folder and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, text: str, **beside: Any) -> AlertmanagerSettings:
        path = self.folder / "alertmanager.yml"
        path.write_text(text)
        return load_named({"config_file": str(path), **beside}, "fleetowl.yml")

    def problems(self, text: str, **beside: Any) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            self.load(text, **beside)
        return [str(problem).replace(f"{self.folder}/", "") for problem in caught.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_upstreams_files_load_or_fail_as_upstream_says(shared_data: Path) -> None:
    folder = shared_data / "alertmanager"
    expected = json.loads((folder / "expected.json").read_text())["files"]
    found = {}
    for name in expected:
        try:
            load_file(folder / "config" / name)
            found[name] = "load"
        except ConfigurationError:
            found[name] = "error"
    assert found == expected


def test_a_plain_file_has_alertmanagers_defaults_and_nothing_else(files: Files) -> None:
    settings = files.load(BASE)
    route = build_route(settings.route)
    assert settings.plain
    assert (route.group_wait, route.group_interval, route.repeat_interval) == (
        30 * SECOND,
        5 * MINUTE,
        4 * HOUR,
    )
    assert route.group_by == ()
    own = settings.fleetowl
    assert (own.urgent_first, own.resolve_wait, own.topology, own.flap, own.max_payload) == (
        False,
        None,
        False,
        False,
        0,
    )


@pytest.mark.parametrize("inside", [True, False])
def test_a_part_of_fleetowls_turns_its_own_on(files: Files, inside: bool) -> None:
    part = {"flap": False}
    settings = (
        files.load(f"{BASE}fleetowl: {json.dumps(part)}\n") if inside else files.load(BASE, fleetowl=part)
    )
    assert not settings.plain
    assert settings.fleetowl == FleetowlSettings(flap=False)
    assert settings.route.group_wait == 30 * SECOND


def test_the_inline_section_keeps_fleetowls_defaults() -> None:
    settings = AlertmanagerSettings()
    assert not settings.plain
    assert build_route(settings.route).group_wait == 5 * SECOND
    assert settings.fleetowl == FleetowlSettings()


def test_texts_are_taken_as_written_and_bodies_as_yaml_has_them(files: Files) -> None:
    settings = files.load(
        """
global: {smtp_require_tls: no}
route:
  receiver: r
  routes: [{match: {release: 1.10, empty: }, receiver: r}]
receivers:
  - name: r
    webhook_configs: [{url: "http://a/", max_alerts: 3, payload: {count: 3, quoted: "3"}}]
    pagerduty_configs: [{routing_key: 0123, details: {a: 1}}]
"""
    )
    assert settings.global_.smtp_require_tls is False
    assert settings.route.routes[0].match == {"release": "1.10", "empty": ""}
    [receiver] = settings.receivers
    [webhook], [pagerduty] = receiver.webhook_configs, receiver.pagerduty_configs
    assert (webhook.max_alerts, webhook.payload) == (3, {"count": 3, "quoted": "3"})
    assert pagerduty.routing_key is not None
    assert pagerduty.routing_key.get_secret_value() == "0123"
    assert pagerduty.details["a"] == 1


def test_relative_files_are_meant_from_the_files_own_folder(files: Files) -> None:
    settings = files.load(
        """
global: {slack_api_url_file: slack, http_config: {basic_auth: {username: u, password_file: pw}}}
templates: ["t/*.tmpl", /abs/*.tmpl]
route: {receiver: r}
receivers:
  - name: r
    slack_configs: [{channel: c}]
    webhook_configs: [{url_file: /abs/url}]
    pagerduty_configs: [{routing_key: k, details: {log_file: kept}}]
"""
    )
    [receiver] = settings.receivers
    folder = files.folder
    assert settings.templates == (f"{folder}/t/*.tmpl", "/abs/*.tmpl")
    assert receiver.slack_configs[0].api_url_file == folder / "slack"
    basic = receiver.slack_configs[0].http_config.basic_auth
    assert basic is not None
    assert basic.password_file == folder / "pw"
    assert receiver.webhook_configs[0].url_file == Path("/abs/url")
    assert receiver.pagerduty_configs[0].details["log_file"] == "kept"


def test_everything_that_is_wrong_is_said_at_once(files: Files) -> None:
    assert files.problems(
        """
global: {resolve_timeout: 5, slack_api_ulr: x, opsgenie_api_url: ftp://a}
route:
  group_by: [a, a]
  routes:
    - {receiver: nobody, matchers: ["a=~'("], mute_time_intervals: [nigths]}
    - {receiver: s, match_re: {a: }, group_interval: 0s}
time_intervals: [{name: nights, time_intervals: [{weekdays: [someday]}]}, {name: nights}]
inhibit_rules: [{source_match: {a-b: c}}]
receivers:
  - {name: s, slack_configs: [{api_url: "http://a", api_url_file: b}]}
  - {name: s, webhook_configs: [{}]}
external_url: http://x
"""
    ) == [
        "alertmanager.yml: external_url: cannot stand here (it stands in fleetowl.yml, in the section "
        "alertmanager)",
        "alertmanager.yml: global.resolve_timeout: '5' is not a duration: write for example 15s, 5m, 1h30m "
        "or 500ms",
        "alertmanager.yml: global.opsgenie_api_url: url must start with http:// or https://",
        "alertmanager.yml: global.slack_api_ulr: unknown key (did you mean slack_api_url?)",
        "alertmanager.yml: route.group_by: a label is named twice",
        'alertmanager.yml: route.routes.0.matchers.0: "a=~\'(" cannot be read: error parsing regexp: missing '
        'closing ): `^(?:\'()$`: write for example tier="P0"',
        "alertmanager.yml: route.routes.1.group_interval: must be greater than 0, got '0s'",
        "alertmanager.yml: route.routes.1.match_re.a: needs a regular expression",
        "alertmanager.yml: inhibit_rules.0.source_match.a-b: 'a-b' is not a label name: letters, digits and "
        "_ only; use matchers for others",
        "alertmanager.yml: time_intervals.0.time_intervals.0.weekdays.0: 'someday' is not a weekday: write "
        "one of sunday, monday, tuesday, wednesday, thursday, friday, saturday",
        "alertmanager.yml: receivers.0.slack_configs.0: at most one of api_url and api_url_file can be given",
        "alertmanager.yml: receivers.1.webhook_configs.0: one of url and url_file must be given",
        "alertmanager.yml: receivers.1.name: receiver 's' is there 2 times",
        "alertmanager.yml: time_intervals.1.name: time interval 'nights' is there 2 times",
        "alertmanager.yml: route.receiver: is required at the root: it gets what no other route takes",
        "alertmanager.yml: route.routes.0.receiver: 'nobody' is not in receivers: known receivers: s",
        "alertmanager.yml: route.routes.0.mute_time_intervals.0: 'nigths' is not in time_intervals: did you "
        "mean nights?",
    ]


def test_parts_that_can_be_read_are_checked_beside_one_that_cannot(files: Files) -> None:
    said = files.problems(
        """
global: {resolve_timeout: soon}
route: {receiver: r, routes: [{receiver: rr, active_time_intervals: [x]}]}
receivers: [{name: r, opsgenie_configs: [{}]}, {name: 1, unknown: 1}]
"""
    )
    assert [line.partition(": ")[2].partition(": ")[0] for line in said] == [
        "global.resolve_timeout",
        "receivers.1.unknown",
        "route.routes.0.receiver",
        "route.routes.0.active_time_intervals.0",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no configuration"),
        ("- a", "is no configuration"),
        ("receivers: [{name: r}]", "route.receiver: is required"),
        ("route: {receiver: r}", "'r' is not in receivers"),
        ("route: {receiver: r}\nreceivers:", "'r' is not in receivers"),
        (BASE + "route: {receiver: r}", "the key 'route' stands twice"),
        (
            "route: {receiver: r, mute_time_intervals: [x]}\nreceivers: [{name: r}]",
            "must be empty at the root",
        ),
        ("route: {receiver: r, match: {a: b}}\nreceivers: [{name: r}]", "must be empty at the root"),
        ("route: {receiver: r, continue: true}\nreceivers: [{name: r}]", "has no meaning at the root"),
        ("route: {receiver: r, routes: [null]}\nreceivers: [{name: r}]", "route.routes.0: "),
        (BASE + "log_level: debug", "log_level: unknown key"),
    ],
)
def test_bad_files(files: Files, text: str, said: str) -> None:
    assert said in "\n".join(files.problems(text))


def test_nothing_else_stands_beside_config_file(files: Files) -> None:
    said = files.problems(f"{BASE}fleetowl: {{}}", receivers=[], fleetowl={})
    assert [line.partition(": ")[2] for line in said] == [
        "alertmanager.receivers: cannot stand beside config_file (write it into alertmanager.yml)",
        "alertmanager.fleetowl: stands in both files (keep the one in the alertmanager.yml, or this one)",
    ]
    assert files.load(BASE, external_url="http://owl").external_url == "http://owl"
    with pytest.raises(ConfigurationError, match="config_file"):
        load_section(AlertmanagerSettings, {"config_file": "x"}, "here")


def test_a_missing_file_is_said_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"/no\.yml: cannot be read"):
        load_named({"config_file": str(tmp_path / "no.yml")}, "fleetowl.yml")


def test_what_is_inherited_from_global(files: Files) -> None:
    settings = files.load(
        """
global:
  http_config: {proxy_url: "http://proxy:1"}
  slack_app_token: xoxb
  pagerduty_url: http://pd/
  smtp_smarthost: mail:25
  smtp_from: owl@x
  smtp_auth_password: pw
  smtp_require_tls: false
route: {receiver: r}
receivers:
  - name: r
    slack_configs: [{channel: a}, {channel: b, api_url: "http://hook"}]
    pagerduty_configs: [{routing_key: k, client: c}, {routing_key: k, url: "http://own", http_config: {}}]
    email_configs: [{to: a@x}, {to: b@x, from: c@x, auth_password_file: /f, require_tls: true}]
"""
    )
    [receiver] = settings.receivers
    app, hook = receiver.slack_configs
    assert app.api_url is not None
    assert app.api_url.get_secret_value() == "https://slack.com/api/chat.postMessage"
    assert app.http_config.request_headers() == {"Authorization": "Bearer xoxb"}
    assert hook.app_token is None
    first, second = receiver.pagerduty_configs
    assert (first.url, first.source, first.http_config.proxy_url) == ("http://pd/", "c", "http://proxy:1")
    assert (second.url, second.http_config.proxy_url) == ("http://own", None)
    assert set(first.details) == {"firing", "resolved", "num_firing", "num_resolved"}
    one, other = receiver.email_configs
    assert (one.smarthost, one.from_, one.hello, one.require_tls) == ("mail:25", "owl@x", "localhost", False)
    assert one.auth_password is not None
    assert (other.from_, other.auth_password, other.require_tls) == ("c@x", None, True)
    assert "xoxb" not in repr(settings)


def test_send_resolved_has_alertmanagers_defaults() -> None:
    assert WebhookConfig.model_fields["send_resolved"].default is True
    assert PagerDutyConfig.model_fields["send_resolved"].default is True
    assert SlackConfig.model_fields["send_resolved"].default is False


def test_a_kind_without_a_sender_is_an_error_that_says_so(files: Files) -> None:
    settings = files.load(
        """
global: {jira_api_url: "http://jira"}
route: {receiver: r}
receivers: [{name: r, jira_configs: [{project: P, issue_type: Bug}], log_configs: [{}]}]
"""
    )
    [problem] = problems_of_kinds(settings, "alertmanager.yml")
    assert str(problem).startswith("alertmanager.yml: receivers.0.jira_configs.0: cannot be notified: ")


def test_the_summary_counts_what_was_found(files: Files) -> None:
    text = """
route: {receiver: r, routes: [{receiver: r}, {receiver: r}]}
receivers: [{name: r, log_configs: [{}, {}]}, {name: s}]
inhibit_rules: [{}]
time_intervals: [{name: a, time_intervals: []}]
"""
    assert list(summary(files.load(text))) == [
        "receivers: 2 (2 log)",
        "routes: 3",
        "inhibit rules: 1",
        "time intervals: 1",
    ]


def test_a_quoted_true_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "am.yml"
    path.write_text("route: {receiver: x, routes: [{continue: 'true'}]}\nreceivers: [{name: x}]\n")
    with pytest.raises(ConfigurationError, match=r"route\.routes\.0\.continue: must be true or false"):
        load_file(path)
    path.write_text("route: {receiver: x, routes: [{continue: true}]}\nreceivers: [{name: x}]\n")
    assert load_file(path).route.routes[0].continue_


def test_only_the_first_document_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "am.yml"
    path.write_text("route: {receiver: x}\nreceivers: [{name: x}]\n---\nnonsense: true\n")
    assert load_file(path).route.receiver == "x"
    assert "only the first document is read" in caplog.text
