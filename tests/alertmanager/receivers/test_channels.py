"""Each channel gets what its service expects, and no value of an alert comes alive in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from alertmanager.receivers import paging
from model.labels import Labels
from tests.alertmanager.receivers.catcher import Catcher, evil
from tests.alertmanager.receivers.told import BRIEF, GONE, LOST, told

KEY = hashlib.sha256(b"incident:INC-20261120-0001").hexdigest()

Config = Callable[[str], dict[str, Any]]

CONFIGS: dict[str, Config] = {
    "webhook": lambda url: {"url": url},
    "pagerduty": lambda url: {"routing_key": "s3cret", "url": url},
    "slack": lambda url: {"api_url": url, "channel": "#gpu", "send_resolved": True},
    "opsgenie": lambda url: {"api_key": "s3cret", "api_url": url},
    "victorops": lambda url: {"api_key": "s3cret", "routing_key": "gpu", "api_url": url},
    "discord": lambda url: {"webhook_url": url},
    "msteams": lambda url: {"webhook_url": url},
    "msteamsv2": lambda url: {"webhook_url": url},
    "mattermost": lambda url: {"webhook_url": url},
    "telegram": lambda url: {"bot_token": "s3cret", "chat_id": -1, "api_url": url},
    "webex": lambda url: {
        "room_id": "r",
        "api_url": url,
        "http_config": {"authorization": {"credentials": "s3cret"}},
    },
    "rocketchat": lambda url: {"token": "s3cret", "token_id": "me", "api_url": url, "channel": "#gpu"},
    "wechat": lambda url: {"api_secret": "s3cret", "corp_id": "c", "api_url": url, "to_user": "@all"},
    "incidentio": lambda url: {"url": url, "alert_source_token": "s3cret"},
    "sns": lambda url: {
        "api_url": url,
        "topic_arn": "arn:aws:sns:eu-west-1:1:gpu",
        "sigv4": {"access_key": "AK", "secret_key": "s3cret"},
    },
    "alertmanager": lambda url: {"url": url},
    "pushover": lambda url: {"token": "s3cret", "user_key": "u"},
}


async def sent(catcher: Catcher, kind: str, what: Any, **more: Any) -> tuple[Any, list[Any]]:
    config = {f"{kind}_configs": [{**CONFIGS[kind](catcher.url), **more}]}
    return await catcher.told(config, what, external_url="https://owl.example")


@pytest.fixture(autouse=True)
def pushover(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PUSHOVER_URL", f"{catcher.url}pushover")


@pytest.mark.parametrize("kind", CONFIGS)
async def test_each_channel_takes_alerts_a_headline_alone_and_the_end(catcher: Catcher, kind: str) -> None:
    name = f"{kind}[0]"
    for what in (
        told(integration=name, briefs=(BRIEF,)),
        told([], name, headline="12 P3 alerts since yesterday", group_labels=Labels()),
        told([GONE], name),
    ):
        outcome, requests = await sent(catcher, kind, what)
        assert outcome.ok, outcome
        assert "s3cret" not in outcome.answer
        if kind != "alertmanager":
            assert requests
        if what.headline and kind not in ("alertmanager", "webhook", "incidentio"):
            assert "12 P3 alerts" in requests[-1].raw.decode().replace("+", " ").replace("%20", " ")


@pytest.mark.parametrize("kind", CONFIGS)
async def test_values_are_inert(catcher: Catcher, kind: str) -> None:
    outcome, requests = await sent(catcher, kind, evil(f"{kind}[0]"))
    assert outcome.ok, outcome
    text = requests[-1].raw.decode()
    assert "https://owl.example <img" not in text  # {{ .ExternalURL }} was not filled in
    if kind in ("slack",):
        [attachment] = requests[0].json["attachments"]
        assert "<" not in attachment["text"] + attachment["title"] + attachment["fallback"]
    if kind in ("discord", "msteams", "msteamsv2", "mattermost", "webex", "rocketchat"):
        words = json.dumps(requests[0].json)
        for mark in (" <img", "[a](", "[p](", "@here", " <!channel", " <@U", " *b*", " `c`"):
            assert mark not in words
    if kind == "telegram":
        words = re.sub(r'<a href="[^"<>]*">[^"<>]*</a>', "", requests[0].json["text"])
        assert "<" not in words
        assert "&lt;img" in requests[0].json["text"]
    if kind == "discord":
        assert requests[0].json["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(
    ("mode", "bare"), [("MarkdownV2", r"(?<!\\)[_*\[\]()~`>#+=|{}.!-]"), ("Markdown", r"(?<!\\)[_*`\[]")]
)
async def test_telegrams_markdown_is_escaped(catcher: Catcher, mode: str, bare: str) -> None:
    more = {"parse_mode": mode, "message": "{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}"}
    _, [request] = await sent(catcher, "telegram", evil("telegram[0]"), **more)
    assert request.json["parse_mode"] == mode
    assert not re.search(bare, request.json["text"])
    assert "onerror" in request.json["text"]


SIGNED = replace(
    BRIEF,
    title="GPU_3 of *n1*",
    url="https://owl.example/api/v1/incidents/INC-20261120-0001",
    ack_url="https://owl.example/ack/INC-1?until=1796319846&who=ada_(x)&sig=wO_R8*[meft-ab\\",
)
LINK = {
    "MarkdownV2": r"(?<!\\)\[((?:\\.|[^\]\\])*)\]\((?:\\.|[^)\\])*\)",
    "Markdown": r"\[([^][_*`]*)\]\([^)]*\)",
}
BARE = {"MarkdownV2": r"(?<!\\)[_*\[\]()~`>#+=|{}.!-]", "Markdown": r"(?<!\\)[_*`\[]"}


@pytest.mark.parametrize("mode", ["MarkdownV2", "Markdown"])
async def test_links_are_written_in_telegrams_markup(catcher: Catcher, mode: str) -> None:
    """As its parser reads it: whole links, and outside of them nothing bare."""
    many = [replace(LOST, labels=Labels({"alertname": f"A_{n}", "gpu": str(n)})) for n in range(30)]
    what = told(many, "telegram[0]", briefs=(SIGNED,), group_labels=Labels({"a": "b_c"}))
    config = {"telegram_configs": [{**CONFIGS["telegram"](catcher.url), "parse_mode": mode}]}
    _, [request] = await catcher.told(config, what, external_url="https://owl_.example")
    text = request.json["text"]
    assert request.json["parse_mode"] == mode
    assert len(re.findall(LINK[mode], text)) >= 3, text
    assert not re.search(BARE[mode], re.sub(LINK[mode], "", text)), text


async def test_what_telegram_cannot_parse_is_sent_plain(catcher: Catcher) -> None:
    from aiohttp import web

    async def refuse() -> web.Response:
        if "parse_mode" not in catcher.requests[-1].json:
            return web.json_response({"ok": True})
        words = "Bad Request: can't parse entities: Character '.' is reserved"
        return web.json_response({"ok": False, "error_code": 400, "description": words}, status=400)

    catcher.answer = refuse
    outcome, requests = await sent(catcher, "telegram", told(integration="telegram[0]"), message="a.b")
    assert outcome.ok
    assert [request.json.get("parse_mode") for request in requests] == ["HTML", None]


async def test_links_in_the_other_markups(catcher: Catcher) -> None:
    expected = {
        "slack": "Acknowledge: https://owl.example/ack/INC-1?until=1796319846&amp;who=ada_(x)&amp;sig=",
        "discord": "&who=ada_%28x%29&sig=wO_R8%2A%5Bmeft-ab%5C",
        "telegram": '<a href="https://owl.example/ack/INC-1?until=1796319846&amp;who=ada_(x)&amp;sig=wO_R8*[meft',
    }
    for kind, words in expected.items():
        _, [request] = await sent(catcher, kind, told(integration=f"{kind}[0]", briefs=(SIGNED,)))
        assert words in json.dumps(request.json, ensure_ascii=False).replace('\\"', '"'), request.raw


async def test_templates_of_the_configuration_escape_values_too(catcher: Catcher) -> None:
    text = "<{{ .ExternalURL }}|owl> {{ range .Alerts }}{{ .Labels.alertname }}{{ end }}"
    _, [request] = await sent(catcher, "slack", evil("slack[0]"), text=text, link_names=True)
    [attachment] = request.json["attachments"]
    assert attachment["text"].startswith("<https://owl.example|owl> {{ .ExternalURL }} &lt;img")
    assert "&lt;!channel&gt;" in attachment["text"]
    assert "@here" not in attachment["text"]


async def test_pagerduty_v2(catcher: Catcher) -> None:
    _, [request] = await sent(catcher, "pagerduty", told(integration="pagerduty[0]", briefs=(BRIEF,)))
    event = request.json
    assert (event["routing_key"], event["event_action"], event["dedup_key"]) == ("s3cret", "trigger", KEY)
    assert event["payload"]["summary"].startswith("[P1 firing] GPU 3 of n1 is lost")
    assert event["payload"]["severity"] == "error"
    assert event["payload"]["custom_details"]["num_firing"] == "1"
    assert json.loads(event["payload"]["custom_details"]["firing"])[0]["labels"]["alertname"] == "GpuLost"
    assert event["links"][0] == {"href": BRIEF.ack_url, "text": f"Acknowledge {BRIEF.incident}"}
    assert event["client"] == event["payload"]["source"] == "Alertmanager"
    _, [request] = await sent(catcher, "pagerduty", told([GONE], "pagerduty[0]"), severity="critical")
    assert (request.json["event_action"], request.json["dedup_key"]) == ("resolve", KEY)
    assert request.json["payload"]["severity"] == "critical"


async def test_pagerduty_v1(catcher: Catcher) -> None:
    more = {"routing_key": None, "service_key": "0ld", "details": {"rack": "{{ .CommonLabels.node }}"}}
    _, [request] = await sent(catcher, "pagerduty", told(integration="pagerduty[0]"), **more)
    event = request.json
    assert (event["service_key"], event["event_type"], event["incident_key"]) == ("0ld", "trigger", KEY)
    assert event["details"]["rack"] == "n1"


async def test_slack_edits_the_groups_message(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    from alertmanager.receivers.sender import Sender
    from tests.alertmanager.night import settings_of

    config = {"slack_configs": [{"api_url": "https://slack.com/api/chat.postMessage", "update_message": True,
                                 "http_config": {"authorization": {"credentials": "xoxb"}}}]}  # fmt: skip
    sender = Sender(settings_of(receivers=[{"name": "team", **config}]))
    here = f"{catcher.url}chat.postMessage"
    monkeypatch.setattr("alertmanager.receivers.slack.secret", lambda *_: here)
    for _ in range(2):
        assert (await sender.send(told(integration="slack[0]"))).ok
    await sender.close()
    assert [request.path for request in catcher.requests] == ["/chat.postMessage", "/chat.update"]
    assert catcher.requests[1].json["ts"] == "12.5"
    assert catcher.requests[1].json["channel"] == "C1"
    assert catcher.requests[0].headers["Authorization"] == "Bearer xoxb"


async def test_a_refusal_inside_of_a_yes_is_a_refusal(catcher: Catcher) -> None:
    from aiohttp import web

    answers = {
        "ok": False,
        "error": "channel_not_found s3cret",
        "success": False,
        "errcode": 40001,
        "errmsg": "s3cret",
    }

    async def refuse() -> web.Response:
        return web.json_response(answers)

    catcher.answer = refuse
    for kind in ("slack", "rocketchat", "wechat"):
        outcome, _ = await sent(catcher, kind, told(integration=f"{kind}[0]"))
        assert (outcome.ok, outcome.retry) == (False, False), kind
        if kind != "slack":
            assert "s3cret" not in outcome.answer


async def test_opsgenie_closes_what_is_over(catcher: Catcher) -> None:
    _, [request] = await sent(catcher, "opsgenie", told(integration="opsgenie[0]"))
    assert (request.path, request.json["alias"], request.json["priority"]) == ("/v2/alerts", KEY, "P2")
    assert request.headers["Authorization"] == "GenieKey s3cret"
    assert request.json["details"] == {"incident": "INC-20261120-0001"}
    _, [request] = await sent(catcher, "opsgenie", told([GONE], "opsgenie[0]"))
    assert request.path == f"/v2/alerts/{KEY}/close?identifierType=alias"
    _, requests = await sent(catcher, "opsgenie", told([LOST], "opsgenie[0]"), update_alerts=True)
    assert [request.method for request in requests] == ["POST", "PUT", "PUT"]


async def test_victorops_pushover_and_sns(catcher: Catcher) -> None:
    _, [request] = await sent(catcher, "victorops", told([GONE], "victorops[0]"))
    assert (request.path, request.json["message_type"], request.json["entity_id"]) == (
        "/s3cret/gpu",
        "RECOVERY",
        KEY,
    )
    _, [request] = await sent(catcher, "pushover", told(integration="pushover[0]"))
    assert (request.form["priority"], request.form["retry"], request.form["expire"]) == ("2", "60", "3600")
    assert request.form["url"] == "https://owl.example/api/v1/incidents/INC-20261120-0001"
    _, [request] = await sent(catcher, "sns", told(integration="sns[0]"), attributes={"tier": "P1"})
    assert (request.form["Action"], request.form["TopicArn"]) == ("Publish", "arn:aws:sns:eu-west-1:1:gpu")
    assert request.form["MessageAttributes.entry.1.Value.StringValue"] == "P1"
    assert "/eu-west-1/sns/aws4_request" in request.headers["Authorization"]


async def test_a_signature_is_that_of_the_documentation() -> None:
    """Two independent ways to the same signature: ours, and the steps of AWS' text written out."""
    import hmac
    from datetime import UTC, datetime

    from alertmanager.receivers.sns import signed

    moment = datetime(2026, 11, 26, tzinfo=UTC)
    headers = signed("https://sns.eu-west-1.amazonaws.com/", b"a=b", "eu-west-1", ("AK", "SK", ""), moment)
    request = (
        "POST\n/\n\ncontent-type:application/x-www-form-urlencoded\nhost:sns.eu-west-1.amazonaws.com\n"
        "x-amz-date:20261126T000000Z\n\ncontent-type;host;x-amz-date\n" + hashlib.sha256(b"a=b").hexdigest()
    )
    text = "AWS4-HMAC-SHA256\n20261126T000000Z\n20261126/eu-west-1/sns/aws4_request\n"
    key = b"AWS4SK"
    for part in (b"20261126", b"eu-west-1", b"sns", b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    digest = hashlib.sha256(request.encode()).hexdigest()
    expected = hmac.new(key, (text + digest).encode(), hashlib.sha256).hexdigest()
    assert headers["Authorization"].endswith(f"Signature={expected}")


async def test_a_webhook_with_a_url_and_a_body_of_its_own(catcher: Catcher) -> None:
    config = {
        "url": f"{catcher.url}{{{{ .GroupLabels.incident }}}}",
        "payload": {
            "text": "{{ .Status }} {{ .CommonLabels.node }}",
            "n": 3,
            "list": ["{{ len .Alerts }}", True],
        },
    }
    _, [request] = await catcher.told({"webhook_configs": [config]}, told())
    assert request.path == "/INC-20261120-0001"
    assert request.json == {"text": "firing n1", "n": 3, "list": ["2", True]}


async def test_a_value_in_a_webhooks_url_leads_nowhere_else(catcher: Catcher) -> None:
    alert = replace(LOST, labels=Labels({"alertname": "../admin?x=1#@evil.example/"}))
    config = {"url": f"{catcher.url}hooks/{{{{ .CommonLabels.alertname }}}}"}
    _, [request] = await catcher.told({"webhook_configs": [config]}, told([alert]))
    assert request.path.startswith("/hooks/..%2Fadmin%3F")
    whole = replace(LOST, annotations={"hook": f"{catcher.url}own"})
    config = {"url": "{{ .CommonAnnotations.hook }}"}
    _, [request] = await catcher.told({"webhook_configs": [config]}, told([whole]))
    assert request.path == "/own"
    outcome, _ = await catcher.told({"webhook_configs": [config]}, told([LOST]))
    assert (outcome.ok, outcome.retry) == (False, False)
    assert "made no http" in outcome.answer


async def test_pages_about_one_incident_share_a_key_with_the_group_that_it_is(catcher: Catcher) -> None:
    keys = set()
    for kind, name in (("pagerduty", "dedup_key"), ("opsgenie", "alias"), ("victorops", "entity_id")):
        _, [request] = await sent(catcher, kind, told([LOST], f"{kind}[0]"))
        keys.add(request.json[name])
    wider = told([LOST], "pagerduty[0]", group_labels=Labels({"incident": LOST.incident, "node": "n1"}))
    _, [request] = await sent(catcher, "pagerduty", wider)  # other groups may be about the same incident
    assert request.json["dedup_key"] == hashlib.sha256(wider.group_key.encode()).hexdigest()
    for step in ("1", "2"):
        page = told([LOST], "pagerduty[0]", headline="not acknowledged", group_key=f"page:escalation:{step}")
        _, [request] = await sent(catcher, "pagerduty", page)
        keys.add(request.json["dedup_key"])
    assert keys == {hashlib.sha256(b"incident:INC-20261120-0001").hexdigest()}
