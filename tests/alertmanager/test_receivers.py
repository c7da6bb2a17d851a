from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertmanager.notification import Delivery, Notification, Outcome
from alertmanager.receivers.check import problems_of_receivers
from alertmanager.receivers.masking import masked, masked_url, secrets_in
from alertmanager.receivers.payload import Writer
from alertmanager.receivers.posting import outcome_of
from alertmanager.receivers.sender import Sender
from alertmanager.text import body, line, title
from model.alert import Alert
from model.labels import Labels
from model.moment import DAY
from tests.alertmanager.night import T0, settings_of
from tests.alertmanager.receivers.told import GONE, LOST

# apprise loads a module of the standard library that Python 3.13 no longer has
APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def notification(
    *alerts: Alert, integration: str = "webhook[0]", receiver: str = "team", key: str = "k" * 32
) -> Notification:
    at = T0 + 60_000
    told = alerts or (LOST, GONE)
    ended = frozenset(alert.fingerprint for alert in told if alert.resolved_at(at))
    firing = frozenset(alert.fingerprint for alert in told) - ended
    return Notification(
        Delivery('{}:{incident="INC-20261120-0001"}', receiver, integration),
        Labels({"incident": "INC-20261120-0001"}),
        told,
        firing,
        ended,
        at,
        1,
        key,
    )


def payload(what: Notification, external_url: str = "", max_alerts: int = 0) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(Writer(external_url).write(what, max_alerts))
    return written


class Hook:
    """A receiver that answers what it is told to, and keeps what it heard."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.answer: Callable[[], Awaitable[web.Response]] | web.Response | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.json()))
        if callable(self.answer):
            return await self.answer()
        return self.answer or web.Response(text="ok")


@pytest.fixture
async def hook() -> AsyncIterator[tuple[Hook, str]]:
    found = Hook()
    app = web.Application()
    app.router.add_post("/hooks/s3cr3t", found.handle)
    async with TestServer(app) as server:
        yield found, str(server.make_url("/hooks/s3cr3t"))


async def send(config: dict[str, Any], what: Notification | None = None) -> Outcome:
    sender = Sender(settings_of(receivers=[{"name": "team", **config}]))
    try:
        return await sender.send(what or notification())
    finally:
        await sender.close()


def test_the_payload_is_alertmanagers_version_4() -> None:
    assert payload(notification(), "https://owl.example") == {
        "version": "4",
        "groupKey": '{}:{incident="INC-20261120-0001"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "team",
        "groupLabels": {"incident": "INC-20261120-0001"},
        "commonLabels": {"node": "n1"},
        "commonAnnotations": {},
        "externalURL": "https://owl.example",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "GpuLost", "tier": "P1", "node": "n1", "gpu": "3"},
                "annotations": dict(LOST.annotations),
                "startsAt": "2026-11-18T11:06:40.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://analyzer/graph",
                "fingerprint": f"{LOST.fingerprint:016x}",
            },
            {
                "status": "resolved",
                "labels": {"alertname": "EngineGone", "tier": "P2", "node": "n1", "pod": "vllm-1"},
                "annotations": {"summary": "engine is gone"},
                "startsAt": "2026-11-18T11:06:41.000Z",
                "endsAt": "2026-11-18T11:07:11.000Z",
                "generatorURL": "",
                "fingerprint": f"{GONE.fingerprint:016x}",
            },
        ],
    }


def test_max_alerts_cuts_and_counts() -> None:
    cut = payload(notification(), max_alerts=1)
    assert len(cut["alerts"]) == 1
    assert cut["truncatedAlerts"] == 1


async def test_a_webhook_gets_the_payload_and_the_dedup_key(hook: tuple[Hook, str]) -> None:
    heard, url = hook
    outcome = await send({"webhook_configs": [{"url": url}]})
    assert outcome == Outcome(True, False, "200 OK")
    [(headers, sent)] = heard.requests
    assert sent == payload(notification())
    assert headers["Idempotency-Key"] == headers["X-Fleetowl-Dedup-Key"] == "k" * 32
    assert headers["Content-Type"] == "application/json"


async def test_credentials_are_sent_and_never_shown(hook: tuple[Hook, str], tmp_path: Path) -> None:
    heard, url = hook
    token = tmp_path / "token"
    token.write_text("t0ps3cret\n")
    heard.answer = web.Response(status=403, text="no access for t0ps3cret at /hooks/s3cr3t")
    config = {"url": url, "http_config": {"authorization": {"credentials_file": str(token)}}}
    outcome = await send({"webhook_configs": [config]})
    assert heard.requests[0][0]["Authorization"] == "Bearer t0ps3cret"
    assert not outcome.ok
    assert not outcome.retry
    assert outcome.answer.startswith("403 Forbidden no access for ***")
    assert "t0ps3cret" not in outcome.answer
    assert "s3cr3t" not in outcome.answer


async def test_a_url_from_a_file(hook: tuple[Hook, str], tmp_path: Path) -> None:
    _, url = hook
    file = tmp_path / "url"
    file.write_text(url + "\n")
    assert (await send({"webhook_configs": [{"url_file": str(file)}]})).ok
    outcome = await send({"webhook_configs": [{"url_file": str(tmp_path / "none")}]})
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "No such file" in outcome.answer


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (500, {}, (False, True, 0)),
        (503, {"Retry-After": "7"}, (False, True, 7000)),
        (429, {"Retry-After": "120"}, (False, True, 120_000)),
        (429, {"Retry-After": "Fri, 20 Nov 2026 12:00:00 GMT"}, (False, True, 0)),
        (400, {}, (False, False, 0)),
        (404, {}, (False, False, 0)),
        (302, {"Location": "/elsewhere"}, (False, False, 0)),
        (204, {}, (True, False, 0)),
    ],
)
async def test_answers(
    hook: tuple[Hook, str], status: int, headers: dict[str, str], expected: tuple[bool, bool, int]
) -> None:
    heard, url = hook
    heard.answer = web.Response(status=status, headers=headers)
    outcome = await send({"webhook_configs": [{"url": url}]})
    assert (outcome.ok, outcome.retry, outcome.retry_after) == expected
    assert outcome.answer.startswith(str(status))
    assert len(heard.requests) == 1


async def test_a_receiver_that_hangs_is_a_failed_attempt(hook: tuple[Hook, str]) -> None:
    import asyncio

    heard, url = hook
    forever = asyncio.Event()

    async def hang() -> web.Response:
        await forever.wait()
        return web.Response()

    heard.answer = hang
    outcome = await send({"webhook_configs": [{"url": url, "timeout": "50ms"}]})
    forever.set()
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "did not answer within 0.05s" in outcome.answer
    assert "s3cr3t" not in outcome.answer


async def test_nobody_listens_is_a_failed_attempt() -> None:
    outcome = await send({"webhook_configs": [{"url": "http://user:pass@127.0.0.1:1/hooks/s3cr3t"}]})
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "127.0.0.1" in outcome.answer
    assert "s3cr3t" not in outcome.answer
    assert "pass" not in outcome.answer


async def test_a_long_strange_answer_is_one_short_line(hook: tuple[Hook, str]) -> None:
    heard, url = hook
    heard.answer = web.Response(status=500, body=b"\x1b[31mred\xff\n\n" + b"x" * 5000)
    outcome = await send({"webhook_configs": [{"url": url}]})
    assert len(outcome.answer) <= 200
    assert outcome.answer.isprintable()


def test_outcomes_at_the_edges() -> None:
    assert outcome_of(299, "").ok
    assert not outcome_of(300, "").ok
    assert outcome_of(599, "").retry
    assert outcome_of(503, "", "99999999").retry_after == DAY


async def test_console_and_log_take_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (await send({"console_configs": [{}]}, notification(integration="console[0]"))).ok
    out = capsys.readouterr().out
    assert out.startswith("[P1 firing] GpuLost on node n1, GPU 3 (+1 more) INC-20261120-0001\n")
    assert "    First check: nvidia-smi -L on the node\n" in out
    assert (await send({"log_configs": [{}]}, notification(integration="log[0]"))).ok
    assert "GPU 3 has fallen off the bus" in caplog.text


async def test_an_unknown_integration_is_an_outcome() -> None:
    outcome = await send({"log_configs": [{}]}, notification(receiver="nobody"))
    assert not outcome.ok
    assert outcome.retry


@APPRISE
async def test_apprise_notifies_each_service_and_only_those_that_failed_again(
    hook: tuple[Hook, str],
) -> None:
    heard, url = hook
    good = url.replace("http://", "json://")
    bad = url.replace("http://", "json://").replace("s3cr3t", "nowhere-t0ken")
    sender = Sender(settings_of(receivers=[{"name": "team", "apprise_configs": [{"urls": [good, bad]}]}]))
    what = notification(integration="apprise[0]")
    for _ in range(2):
        outcome = await sender.send(what)
        assert (outcome.ok, outcome.retry) == (False, True)
        assert outcome.answer == "service 2 (json) did not take it"
    await sender.close()
    assert len(heard.requests) == 1
    sent = heard.requests[0][1]
    assert sent["title"] == title(what)
    assert "First check" in sent["message"]
    assert sent["type"] == "failure"


@APPRISE
async def test_apprise_from_a_file(hook: tuple[Hook, str], tmp_path: Path) -> None:
    heard, url = hook
    file = tmp_path / "urls"
    file.write_text(f"# the team\n{url.replace('http://', 'json://')}\n\n")
    outcome = await send(
        {"apprise_configs": [{"urls_file": str(file)}]}, notification(GONE, integration="apprise[0]")
    )
    assert outcome == Outcome(True, False, "json took it")
    assert heard.requests[0][1]["type"] == "success"


@APPRISE
async def test_an_apprise_url_that_is_none_is_a_refusal() -> None:
    outcome = await send(
        {"apprise_configs": [{"urls": ["nosuch://t0ken@host"]}]}, notification(integration="apprise[0]")
    )
    assert (outcome.ok, outcome.retry) == (False, False)
    assert outcome.answer == "URL 1 (nosuch) is none that apprise understands"


@APPRISE
def test_problems_are_found_before_anything_is_sent(tmp_path: Path) -> None:
    settings = settings_of(
        receivers=[
            {
                "name": "team",
                "webhook_configs": [{"url_file": str(tmp_path / "none")}],
                "apprise_configs": [{"urls": ["json://localhost", "nosuch://t0ken"]}],
            }
        ]
    )
    found = [str(problem) for problem in problems_of_receivers(settings, "f.yml", "alertmanager")]
    assert len(found) == 2
    assert found[0].startswith("f.yml: alertmanager.receivers.0.webhook_configs.0.url_file: ")
    assert found[1].startswith(
        "f.yml: alertmanager.receivers.0.apprise_configs.0.urls.1: the URL (nosuch://…)"
    )
    assert "t0ken" not in found[1]


def test_title_and_body_read_well() -> None:
    assert title(notification()) == "[P1 firing] GpuLost on node n1, GPU 3 (+1 more) INC-20261120-0001"
    assert title(notification(GONE)) == "[P2 resolved] EngineGone on node n1, pod vllm-1 INC-20261120-0001"
    assert body(notification(), "https://owl.example/") == (
        "P1 GpuLost: node n1, GPU 3\n"
        "GPU 3 has fallen off the bus\n"
        "since 2026-11-18T11:06:40.000Z\n"
        "First check: nvidia-smi -L on the node\n"
        "Runbook: https://runbooks.example/gpu-lost\n\n"
        "P2 EngineGone: node n1, pod vllm-1\n"
        "engine is gone\n"
        "ended 2026-11-18T11:07:11.000Z after 30s\n\n"
        "INC-20261120-0001: https://owl.example/api/v1/incidents/INC-20261120-0001"
    )


def test_the_description_follows_the_summary() -> None:
    words = {"summary": "short", "description": "Look first at the kernel log."}
    alert = Alert(Labels({"alertname": "A"}), words, T0)
    assert body(notification(alert)).splitlines()[1:3] == ["short", "Look first at the kernel log."]
    only = Alert(Labels({"alertname": "A"}), {"description": "long"}, T0)
    assert body(notification(only)).count("long") == 1


def test_values_are_inert_and_long_messages_are_cut() -> None:
    nasty = Alert(
        Labels({"alertname": "A\n\x1b[31m", "node": "n\r\n1"}), {"summary": "x" * 5000 + "\n\n"}, T0
    )
    assert title(notification(nasty)).isprintable()
    assert len(line(notification(nasty))) < 700
    many = [Alert(Labels({"alertname": "A", "gpu": str(number)}), {}, T0) for number in range(50)]
    assert body(notification(*many)).endswith("and 40 more alerts")
    assert (
        json.loads(json.dumps(payload(notification(nasty))))["alerts"][0]["labels"]["alertname"]
        == "A\n\x1b[31m"
    )


def test_masking() -> None:
    url = "https://user:pw12@chat.example/hooks/T0K3N?key=abcd"
    assert masked_url(url) == "https://chat.example/***"
    text = masked(f"POST {url} failed, T0K3N is unknown, key=abcd, pw12", secrets_in(url))
    assert not any(secret in text for secret in ("T0K3N", "abcd", "pw12"))
    assert "chat.example" not in secrets_in(url)
