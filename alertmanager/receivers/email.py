"""A mail by SMTP. The library blocks, so it runs in a thread; its timeout ends every step of it.

The Message-ID is made of the dedup key, so a repetition is the same mail to every server on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, getaddresses
from html import escape

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.masking import masked
from alertmanager.receivers.outlet import Outlet, group_hash, secret
from alertmanager.settings.http import HTTPConfig
from alertmanager.settings.integrations.email import EmailConfig
from alertmanager.text import body, cut_bytes, incident_url, title
from model.moment import SECOND, format_moment

TIMEOUT = 30 * SECOND
"""How long one mail may take (ms): mail servers are slow by design."""

_STEP = 10
"""Seconds for one step of the dialogue."""


class Email:
    """One `to`."""

    def __init__(self, config: EmailConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        headers = {name.title(): value for name, value in config.headers.items()}
        self._headers = {name: outlet.fill(value) for name, value in headers.items()}
        self._to, self._from = outlet.fill(config.to), outlet.fill(config.from_)
        self._html = outlet.human(config, "html", self._page, "html")
        self._text = outlet.human(config, "text", outlet.body())
        self._has_html = bool(config.html)
        self._host, _, port = config.smarthost.rpartition(":")
        self._port = int(port) if port.isdecimal() else socket.getservbyname(port)

    async def send(self, notification: Notification) -> Outcome:
        """Send the mail; what a mail server said is in the outcome."""
        password = crammed = ""
        try:
            password = secret(self._config.auth_password, self._config.auth_password_file)
            crammed = secret(self._config.auth_secret, self._config.auth_secret_file)
            message = self.message(notification)
            async with asyncio.timeout(TIMEOUT / SECOND):
                await asyncio.to_thread(self._deliver, message, password, crammed)
        except TimeoutError:
            return Outcome(False, True, f"the mail server {self._config.smarthost} did not answer in time")
        except smtplib.SMTPRecipientsRefused as error:
            codes = {address: code for address, (code, _) in error.recipients.items()}
            later = any(400 <= code < 500 for code in codes.values())
            return Outcome(False, later, masked(f"no recipient was accepted: {codes}", ()))
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            what = said.decode(errors="replace") if isinstance(said, bytes) else said
            hidden = {password, crammed}
            return Outcome(False, error.smtp_code < 500, masked(f"{error.smtp_code} {what}", hidden))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Outcome(False, True, masked(f"{self._config.smarthost}: {error}", {password, crammed}))
        return Outcome(True, False, f"{self._config.smarthost} took the mail")

    def message(self, notification: Notification) -> EmailMessage:
        """The mail itself. No line break of a value reaches a header."""
        message = EmailMessage()
        headers = {name: one_line(fill(notification)) for name, fill in self._headers.items()}
        message["Subject"] = headers.pop("Subject", "") or one_line(title(notification))
        for name, addresses in (
            ("From", headers.pop("From", "") or self._from(notification)),
            ("To", headers.pop("To", "") or self._to(notification)),
        ):
            message[name] = _addresses(addresses)
        domain = _domain(message["From"])
        message["Date"] = formatdate(notification.at / SECOND)
        message["Message-ID"] = headers.pop("Message-Id", "") or f"<{notification.dedup_key}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        if self._config.threading.enabled:
            for name in ("References", "In-Reply-To"):
                message[name] = f"<{self._thread(notification)}@{domain}>"
        for name, value in headers.items():
            if value:
                del message[name]
                message[name] = value
        half = self._outlet.cap // 4  # for text and HTML, each encoded for its way through old servers
        text, page = self._text(notification), self._html(notification) if self._has_html else ""
        message.set_content(_printable(cut_bytes(text, half) if half else text))
        if page and (not half or len(page.encode(errors="replace")) <= half):
            message.add_alternative(_printable(page), subtype="html")
        return message

    def _thread(self, notification: Notification) -> str:
        daily = self._config.threading.thread_by_date == "daily"
        return group_hash(notification)[:32] + (f".{format_moment(notification.at)[:10]}" if daily else "")

    def _page(self, notification: Notification) -> str:
        """Our own words in HTML: large enough for a phone, links to touch, and nothing that is loaded."""
        half = self._outlet.cap // 8
        words = body(notification, self._outlet.external_url, half, quote=str)
        head = escape(title(notification))
        links = [
            f'<p><a href="{escape(url)}" style="font-size: 18px">{escape(label)}</a></p>'
            for label, url in self._links(notification)
            if url.startswith(("http://", "https://"))
        ]
        paragraphs = "".join(
            f"<p>{escape(block).replace(chr(10), '<br>')}</p>" for block in words.split("\n\n") if block
        )
        return (
            '<!DOCTYPE html><html><body style="font-family: sans-serif; font-size: 16px">'
            f"<h2>{head}</h2>{''.join(links)}{paragraphs}</body></html>"
        )

    def _links(self, notification: Notification) -> list[tuple[str, str]]:
        found = list[tuple[str, str]]()
        for brief in notification.briefs:
            found += [("Acknowledge", brief.ack_url), (brief.incident, brief.url)]
        known = {brief.incident for brief in notification.briefs}
        base = self._outlet.external_url
        found += [
            (each, incident_url(base, each)) for each in notification.incidents if base and each not in known
        ]
        return found

    def _deliver(self, message: EmailMessage, password: str, crammed: str) -> None:
        config = self._config
        context = HTTPConfig(tls_config=config.tls_config).ssl_context()
        implicit = config.force_implicit_tls
        implicit = self._port == 465 if implicit is None else implicit
        hello = config.hello or None
        host = self._host.strip("[]")
        server: smtplib.SMTP = (
            smtplib.SMTP_SSL(host, self._port, hello, timeout=_STEP, context=context)
            if implicit
            else smtplib.SMTP(host, self._port, hello, timeout=_STEP)
        )
        try:
            server.ehlo_or_helo_if_needed()
            if not implicit and config.require_tls:
                if not server.has_extn("starttls"):
                    raise smtplib.SMTPException(
                        "the mail server offers no STARTTLS, which require_tls asks for"
                    )
                server.starttls(context=context)
                server.ehlo()
            self._authenticate(server, password, crammed)
            server.send_message(message)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # the mail is theirs already, whatever they say now
        finally:
            server.close()

    def _authenticate(self, server: smtplib.SMTP, password: str, crammed: str) -> None:
        """CRAM-MD5 with a secret, PLAIN or LOGIN with a password: the first that both sides have."""
        user, identity = self._config.auth_username, self._config.auth_identity
        if not user:
            return
        offered = str(server.esmtp_features.get("auth", "")).upper().split()
        if not offered:
            raise smtplib.SMTPException("auth_username is set, but the mail server offers no AUTH")
        server.user = user
        for method in offered:
            if method == "CRAM-MD5" and crammed:
                server.password = crammed
                server.auth(method, server.auth_cram_md5)
                return
            if method == "PLAIN" and password:
                server.auth(method, lambda _=None: "\0".join((identity, user, password)))
                return
            if method == "LOGIN" and password:
                server.password = password
                server.auth(method, server.auth_login)
                return
        raise smtplib.SMTPException(
            f"none of the server's ways to authenticate can be used: {' '.join(offered)}"
        )


def one_line(text: str) -> str:
    """A header's value: no line break begins another header."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _addresses(text: str) -> list[Address]:
    """Raises ValueError for what is no address."""
    pairs = getaddresses([one_line(text)])
    return [Address(display_name=name, addr_spec=address) for name, address in pairs if address]


def _domain(sender: object) -> str:
    return str(sender).rpartition("@")[2].strip(" >") or "fleetowl"
