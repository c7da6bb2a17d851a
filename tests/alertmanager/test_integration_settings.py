"""Each kind of integration: its least, what contradicts itself, and what `global:` supplies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alertmanager.settings import KINDS, AlertmanagerSettings, HTTPConfig
from model.settings import ConfigurationError, load_section

TOKEN = {"authorization": {"credentials": "t"}}


def load(kind: str, config: dict[str, Any] | None, **common: Any) -> Any:
    receiver = {"name": "r", f"{kind}_configs": [config]}
    data = {"global": common, "route": {"receiver": "r"}, "receivers": [receiver]}
    settings = load_section(AlertmanagerSettings, data, "alertmanager.yml")
    [(_, _, found)] = settings.receivers[0].integrations()
    return found


LEAST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "webhook": ({"url": "http://a"}, {}),
    "email": ({"to": "a@x"}, {"smtp_smarthost": "mail:25", "smtp_from": "b@x"}),
    "pagerduty": ({"service_key": "k"}, {}),
    "slack": ({}, {"slack_api_url_file": "/url"}),
    "opsgenie": ({}, {"opsgenie_api_key_file": "/key"}),
    "victorops": ({"routing_key": "k"}, {"victorops_api_key": "k"}),
    "pushover": ({"user_key": "u", "token_file": "/t"}, {}),
    "discord": ({"webhook_url": "http://a"}, {}),
    "msteams": ({"webhook_url_file": "/f"}, {}),
    "msteamsv2": ({"webhook_url": "http://a"}, {}),
    "telegram": ({"chat_id": 1}, {"telegram_bot_token_file": "/t"}),
    "webex": ({"room_id": "r", "http_config": TOKEN}, {}),
    "rocketchat": ({}, {"rocketchat_token": "t", "rocketchat_token_id_file": "/i"}),
    "mattermost": ({}, {"mattermost_webhook_url_file": "/f"}),
    "sns": ({"topic_arn": "arn"}, {}),
    "wechat": ({}, {"wechat_api_secret": "s", "wechat_api_corp_id": "c"}),
    "jira": ({"project": "P", "issue_type": "Bug"}, {"jira_api_url": "http://jira"}),
    "incidentio": ({"url": "http://a", "alert_source_token": "t"}, {}),
    "apprise": ({"urls": ["json://a"]}, {}),
    "alertmanager": ({"url": "http://am:9093"}, {}),
    "console": ({}, {}),
    "log": ({}, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_of_each_kind(kind: str) -> None:
    config, common = LEAST[kind]
    found = load(kind, config, **common)
    silent_on_end = {"email", "slack", "rocketchat", "wechat"}
    assert found.send_resolved is (kind not in silent_on_end)
    with pytest.raises(ConfigurationError, match=rf"{kind}_configs\.0\.nonsense: unknown key"):
        load(kind, {**config, "nonsense": 1}, **common)
    with pytest.raises(ConfigurationError, match=rf"{kind}_configs\.0: "):
        load(kind, None, **common)


@pytest.mark.parametrize("kind", [kind for kind, (_, common) in LEAST.items() if common])
def test_without_global_something_is_missing(kind: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"{kind}_configs\.0: .* must be given, here or as global\."
    ):
        load(kind, LEAST[kind][0])


@pytest.mark.parametrize("kind", [kind for kind, (_, common) in LEAST.items() if not common])
def test_what_a_kind_cannot_do_without(kind: str) -> None:
    if kind in ("console", "log"):
        return
    with pytest.raises(ConfigurationError, match=r"must be given|must be there|is required"):
        load(kind, {})


TWINS = {
    "webhook": ("url", "http://a"),
    "slack": ("api_url", "http://a"),
    "pagerduty": ("routing_key", "k"),
    "opsgenie": ("api_key", "k"),
    "victorops": ("api_key", "k"),
    "pushover": ("user_key", "k"),
    "discord": ("webhook_url", "http://a"),
    "msteams": ("webhook_url", "http://a"),
    "msteamsv2": ("webhook_url", "http://a"),
    "telegram": ("bot_token", "t"),
    "rocketchat": ("token", "t"),
    "mattermost": ("webhook_url", "http://a"),
    "wechat": ("api_secret", "s"),
    "incidentio": ("alert_source_token", "t"),
    "email": ("auth_password", "p"),
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_secret_stands_here_or_in_a_file(kind: str) -> None:
    key, value = TWINS[kind]
    config, common = LEAST[kind]
    config = {name: text for name, text in config.items() if not name.startswith(key)}
    with pytest.raises(ConfigurationError, match=f"at most one of {key} and {key}_file"):
        load(kind, {**config, key: value, f"{key}_file": "/f"}, **common)


@pytest.mark.parametrize(
    "name",
    [
        "slack_api_url",
        "slack_app_token",
        "opsgenie_api_key",
        "victorops_api_key",
        "telegram_bot_token",
        "smtp_auth_password",
        "smtp_auth_secret",
        "rocketchat_token",
        "rocketchat_token_id",
        "wechat_api_secret",
        "mattermost_webhook_url",
    ],
)
def test_a_secret_of_global_stands_here_or_in_a_file(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"global: at most one of {name} and {name}_file"):
        load("log", {}, **{name: "http://a", f"{name}_file": "/f"})


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("email", {"to": ""}, "to must be given"),
        ("email", {"headers": {"Subject": "a", "subject": "b"}}, "is there twice"),
        ("email", {"smarthost": "mail"}, "write host:port"),
        ("email", {"smarthost": "mail:"}, "has no port"),
        ("email", {"threading": {"enabled": True}}, "must be none or daily"),
        ("slack", {"api_url": "http://a", "app_token": "t"}, "at most one of api_url"),
        ("slack", {"api_url": "http://a", "update_message": True}, "update_message needs a bot"),
        ("slack", {"app_token": "t", "http_config": TOKEN}, "authorization cannot be given beside"),
        ("slack", {"fields": [{"title": "t"}]}, "fields.0.value: is required"),
        ("slack", {"actions": [{"type": "button", "text": "t"}]}, "one of name and url"),
        ("slack", {"actions": [{"type": "b", "text": "t", "name": "n", "confirm": {}}]}, "confirm.text"),
        ("pagerduty", {"url": "pd"}, "url must start with"),
        ("opsgenie", {"teams": "x"}, "unknown key"),
        ("opsgenie", {"responders": [{"type": "team"}]}, "one of id, name and username"),
        ("opsgenie", {"responders": [{"name": "a", "type": "club"}]}, "type 'club' is not one of"),
        ("victorops", {"custom_fields": {"entity_id": "x"}}, "custom_fields cannot hold entity_id"),
        ("pushover", {"html": True, "monospace": True}, "at most one of monospace and html"),
        ("pushover", {"retry": "1d"}, "is not a duration"),
        ("telegram", {"parse_mode": "markdown"}, "parse_mode"),
        ("telegram", {"chat_id_file": "/f"}, "at most one of chat_id and chat_id_file"),
        ("webex", {"http_config": {}}, "http_config.authorization must be given"),
        ("webex", {"room_id": ""}, "room_id must be given"),
        ("sns", {"phone_number": "1"}, "exactly one of target_arn, topic_arn and phone_number"),
        ("sns", {"sigv4": {"access_key": "a"}}, "go together"),
        ("wechat", {"message_type": "html"}, "message_type"),
        ("jira", {"issue_type": ""}, "issue_type must be given"),
        ("jira", {"api_type": "server"}, "api_type"),
        ("incidentio", {"http_config": TOKEN}, "at most one of alert_source_token"),
        ("incidentio", {"alert_source_token": "", "http_config": {}}, "must be given"),
        ("webhook", {"url": "http://a b/"}, "is not a URL"),
        ("webhook", {"url": "http:///path"}, "has no host"),
        ("webhook", {"url": "http://a/%zz"}, "is not a URL"),
        ("webhook", {"url": "http://a:port/"}, "is not a URL"),
        ("webhook", {"max_alerts": -1}, "max_alerts"),
        ("alertmanager", {"url": "am:9093"}, "must start with"),
    ],
)
def test_what_contradicts_itself(kind: str, more: dict[str, Any], said: str) -> None:
    config, common = LEAST[kind]
    with pytest.raises(ConfigurationError) as caught:
        load(kind, {**config, **more}, **common)
    assert said in str(caught.value)
    assert f"receivers.0.{kind}_configs.0" in str(caught.value)


def test_a_template_may_make_a_webhooks_url() -> None:
    assert load("webhook", {"url": "{{ .GroupLabels.hook }}"}).url is not None


def test_no_limit_of_time_is_the_usual_one() -> None:
    assert load("webhook", {"url": "http://a", "timeout": "0s"}).timeout == 10_000
    assert load("webhook", {"url": "http://a", "timeout": "1.5m"}).timeout == 90_000


def test_slacks_own_url_may_stand_beside_a_token() -> None:
    url = "https://slack.com/api/chat.postMessage"
    assert load("slack", {}, slack_app_token="t", slack_api_url=url).app_token is not None
    with pytest.raises(ConfigurationError, match=r"global: at most one of slack_app_token\(_file\)"):
        load("slack", {}, slack_app_token="t", slack_api_url="https://hooks.slack.example")


def http(**data: Any) -> HTTPConfig:
    return load_section(HTTPConfig, data, "alertmanager.yml", "http_config")


def test_a_deprecated_bearer_token_is_an_authorization(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("from-file\n")
    assert http(bearer_token="t").request_headers() == {"Authorization": "Bearer t"}
    files = http(bearer_token_file=str(tmp_path / "t"))
    assert files.request_headers() == {"Authorization": "Bearer from-file"}


OAUTH2 = {"client_id": "c", "client_secret": "s", "token_url": "http://t"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"bearer_token": "t", "basic_auth": {"username": "u"}}, "at most one of"),
        ({"oauth2": OAUTH2, "authorization": {"credentials": "t"}}, "at most one of"),
        ({"oauth2": {"client_id": "c"}}, "token_url must be given"),
        ({"no_proxy": "a"}, "needs a proxy_url"),
        ({"proxy_from_environment": True, "proxy_url": "http://p"}, "stands alone"),
        ({"tls_config": {"ca": "x", "ca_file": "/f"}}, "at most one of ca and ca_file"),
        ({"tls_config": {"cert": "x"}}, "go together"),
        ({"tls_config": {"max_version": "TLS9"}}, "is not one of"),
    ],
)
def test_http_configurations_that_contradict_themselves(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        http(**data)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", ["S3CRET", {"a": "S3CRET"}, ["S3CRET"], "http://S3CRET", "http:// S3CRET"])
def test_no_error_shows_a_secret(value: Any) -> None:
    for kind, key in (
        ("slack", "api_url"),
        ("email", "auth_secret"),
        ("webhook", "url"),
        ("apprise", "urls"),
    ):
        config, common = LEAST[kind]
        wrong = {**config, key: [value] if key == "urls" else value, "unknown": 1}
        with pytest.raises(ConfigurationError) as caught:
            load(kind, wrong, **common)
        assert "S3CRET" not in str(caught.value)


def test_no_secret_is_shown() -> None:
    shown = [
        load(kind, {**config, "send_resolved": True}, **common).model_dump_json()
        for kind, config, common in (
            ("slack", {"app_token": "S3CRET"}, {}),
            ("webhook", {"url": "http://a/S3CRET", "http_config": {"bearer_token": "S3CRET"}}, {}),
            ("email", {"to": "a", "auth_password": "S3CRET"}, LEAST["email"][1]),
            ("sns", {"topic_arn": "t", "sigv4": {"access_key": "k", "secret_key": "S3CRET"}}, {}),
            ("mattermost", {}, {"mattermost_webhook_url": "http://a/S3CRET"}),
        )
    ]
    assert "S3CRET" not in "".join(shown)
