"""Mails: what stands in them, how they get through, and what cannot be smuggled into them."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers import smtp
from alertmanager.receivers.sender import Sender
from tests.alertmanager.night import settings_of
from tests.alertmanager.receivers.catcher import evil
from tests.alertmanager.receivers.mail_server import MailServer
from tests.alertmanager.receivers.told import BRIEF, GONE, told


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    found = MailServer()
    yield found
    await found.stop()


async def mail(server: MailServer, what: Notification | None = None, **more: Any) -> Outcome:
    sections = {"external_url": "https://owl.example", **more.pop("sections", {})}
    config = {
        "to": "gpu@example.org, Night Shift <night@example.org>",
        "from": "Owl <owl@example.org>",
        "smarthost": await server.start(),
        "require_tls": False,
        "send_resolved": True,
        **more,
    }
    sender = Sender(settings_of(receivers=[{"name": "team", "email_configs": [config]}], **sections))
    try:
        return await sender.send(what or told(integration="email[0]", briefs=(BRIEF,)))
    finally:
        await sender.close()


def read(server: MailServer) -> EmailMessage:
    [raw] = server.mails
    message = email.message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


async def test_a_mail_has_text_and_html_and_names_its_thread(server: MailServer) -> None:
    threading = {"enabled": True, "thread_by_date": "daily"}
    outcome = await mail(
        server, headers={"X-Team": "{{ .Receiver }}", "subject": "{{ .Status }}!"}, threading=threading
    )
    assert outcome.ok, outcome
    message = read(server)
    assert (message["Subject"], message["X-Team"]) == ("firing!", "team")
    assert message["To"] == "gpu@example.org, Night Shift <night@example.org>"
    assert message["Message-ID"] == f"<{'k' * 32}@example.org>"
    thread = hashlib.sha256(b"incident:INC-20261120-0001").hexdigest()[:32]
    assert message["References"] == message["In-Reply-To"] == f"<{thread}.2026-11-18@example.org>"
    text, page = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert page is not None
    assert "Acknowledge: https://owl.example/ack?t=abc" in text.get_content()
    assert '<a href="https://owl.example/ack?t=abc"' in page.get_content()
    assert "RCPT TO:<night@example.org>" in " ".join(server.said).replace("rcpt", "RCPT")


async def test_no_value_reaches_a_header_or_becomes_markup(server: MailServer) -> None:
    more = {"headers": {"Subject": "{{ .CommonLabels.alertname }}", "X-N": "{{ .CommonLabels.node }}"}}
    assert (await mail(server, evil("email[0]"), **more)).ok
    message = read(server)
    assert message["Bcc"] is None
    assert "Bcc: evil@example.org" in message["Subject"]
    page = message.get_body(("html",))
    assert page is not None
    assert "<img" not in page.get_content()
    assert 'href="javascript' not in page.get_content()
    assert not [line for line in server.said if "evil@" in line]


async def test_the_default_page_of_alertmanager_escapes_too(server: MailServer) -> None:
    more = {"html": '{{ template "email.default.html" . }} ', "text": "{{ .Status }}"}
    assert (await mail(server, evil("email[0]"), **more)).ok
    page = read(server).get_body(("html",))
    assert page is not None
    assert "<img" not in page.get_content()
    assert 'href="#ZgotmplZ"' in page.get_content()


@pytest.mark.parametrize(
    ("offered", "method"),
    [(("PLAIN", "LOGIN"), "PLAIN"), (("LOGIN",), "LOGIN"), (("CRAM-MD5", "PLAIN"), "CRAM-MD5")],
)
async def test_authentication(server: MailServer, offered: tuple[str, ...], method: str) -> None:
    server.auth = offered
    more: dict[str, Any] = {
        "auth_username": "owl",
        "auth_password": "pa55",
        "auth_secret": "cr4m",
        "auth_identity": "me",
    }
    assert (await mail(server, None, **more)).ok
    said = " ".join(server.said)
    assert f"AUTH {method}" in said
    expected = {
        "PLAIN": base64.b64encode(b"me\0owl\0pa55").decode(),
        "LOGIN": base64.b64encode(b"pa55").decode(),
        "CRAM-MD5": base64.b64encode(
            b"owl " + hmac.new(b"cr4m", b"<1@here>", "md5").hexdigest().encode()
        ).decode(),
    }
    assert expected[method] in said


async def test_no_secret_is_sent_where_none_is_asked_for(server: MailServer) -> None:
    outcome = await mail(server, auth_username="owl", auth_password="pa55")
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "offers no AUTH" in outcome.answer


async def test_tls_is_required_unless_it_is_not(server: MailServer) -> None:
    outcome = await mail(server, require_tls=True)
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "offers no STARTTLS" in outcome.answer
    assert not server.mails


@pytest.mark.parametrize(("answer", "retry"), [("450 try later", True), ("550 nobody of this name", False)])
async def test_a_refused_recipient(server: MailServer, answer: str, retry: bool) -> None:
    server.refuse = answer
    outcome = await mail(server)
    assert (outcome.ok, outcome.retry) == (False, retry)
    assert answer[:3] in outcome.answer


async def test_a_server_that_never_greets_and_one_that_is_not_there(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "STEP", 0.05)
    server.silent = True
    outcome = await mail(server)
    assert (outcome.ok, outcome.retry) == (False, True)
    config = {"to": "a@b.c", "from": "d@e.f", "smarthost": "127.0.0.1:1", "require_tls": False}
    sender = Sender(settings_of(receivers=[{"name": "team", "email_configs": [config]}]))
    outcome = await sender.send(told(integration="email[0]"))
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "refused" in outcome.answer


async def test_a_mail_keeps_under_the_cap_and_a_digest_needs_no_alerts(server: MailServer) -> None:
    from model.alert import Alert
    from model.labels import Labels

    many = [Alert(Labels({"alertname": "A", "n": str(n)}), {"summary": "ü<&>" * 2000}, 1) for n in range(80)]
    assert (await mail(server, told(many, "email[0]"), sections={"fleetowl": {"max_payload": "16KiB"}})).ok
    assert len(server.mails[0]) <= 16 << 10
    await server.stop()
    server.mails.clear()
    assert (await mail(server, told([], "email[0]", headline="nothing happened"))).ok
    assert "nothing happened" in read(server)["Subject"]


async def test_the_end_is_a_mail_too(server: MailServer) -> None:
    assert (await mail(server, told([GONE], "email[0]"))).ok
    assert read(server)["Subject"] == "[P2 resolved] EngineGone on node n1, pod vllm-1 INC-20261120-0001"


async def test_a_refused_recipient_is_named_and_only_who_may_take_it_later_is_asked_again(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = {
        "to": "ada@x.y, bo@x.y, cy@x.y",
        "from": "owl@x.y",
        "smarthost": await server.start(),
        "require_tls": False,
    }
    sender = Sender(settings_of(receivers=[{"name": "team", "email_configs": [config]}]))
    server.answers = {"bo@x.y": "550 no such user", "cy@x.y": "450 try later"}
    outcome = await sender.send(told(integration="email[0]"))
    assert (outcome.ok, outcome.retry) == (False, True)
    assert outcome.answer == "not taken yet: cy@x.y (450); refused: bo@x.y (550 no such user)"
    server.answers, server.said = {}, []
    outcome = await sender.send(told(integration="email[0]"))
    assert outcome.ok
    assert outcome.answer.endswith("took the mail, but refused bo@x.y (550 no such user)")
    assert [line for line in server.said if line.upper().startswith("RCPT")] == ["rcpt TO:<cy@x.y>"]
    assert len(server.mails) == 2
    assert [record.message for record in caplog.records if "bo@x.y" in record.message] != []
    server.answers = dict.fromkeys(("ada@x.y", "bo@x.y", "cy@x.y"), "550 nobody")
    outcome = await sender.send(told(integration="email[0]", sequence=2))
    assert (outcome.ok, outcome.retry) == (False, False)
