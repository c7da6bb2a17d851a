"""A mail by SMTP. The library blocks, so it runs in a thread; when its time is over its socket is shut.

The Message-ID is made of the dedup key, so a repetition is the same mail to every server on its way.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import socket
from collections import OrderedDict
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, getaddresses
from html import escape

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.masking import masked
from alertmanager.receivers.outlet import Outlet, group_hash, secret
from alertmanager.receivers.smtp import Dialogue, Refused, recipients
from alertmanager.receivers.threads import Busy, Threads
from alertmanager.settings.integrations.email import EmailConfig
from alertmanager.text import body, cut_bytes, incident_url, title
from model.moment import SECOND, format_moment

TIMEOUT = 30 * SECOND
"""How long one mail may take (ms): mail servers are slow by design."""

_REMEMBERED = 1000
"""So many mails of which some recipients are left are remembered; after a restart all get it again."""

log = logging.getLogger("fleetowl.notification")


@dataclass(slots=True)
class _Left:
    """Who still has to get a mail, who got it, and who never will: what the server said, by address."""

    to: list[str]
    taken: bool = False
    refused: dict[str, str] = field(default_factory=dict)

    def heard(self, refused: Refused, taken: bool) -> None:
        """After an attempt; only a 4xx is worth another."""
        self.taken = self.taken or taken
        for address, (code, said) in refused.items():
            if code >= 500:
                self.refused[address] = f"{code} {said.decode(errors='replace')}"
        again = refused if taken else self.to
        self.to = [address for address in again if address not in self.refused]


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
        self._threads = Threads()
        self._left: OrderedDict[str, _Left] = OrderedDict()
        self._said = ""

    async def send(self, notification: Notification) -> Outcome:
        """Send the mail; what a mail server said is in the outcome."""
        password = crammed = ""
        try:
            password = secret(self._config.auth_password, self._config.auth_password_file)
            crammed = secret(self._config.auth_secret, self._config.auth_secret_file)
            return await self._mailed(notification, password, crammed)
        except Busy as busy:
            return Outcome(False, True, f"{self._config.smarthost}: {busy}")
        except TimeoutError:
            return Outcome(False, True, f"the mail server {self._config.smarthost} did not answer in time")
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            what = said.decode(errors="replace") if isinstance(said, bytes) else said
            hidden = {password, crammed}
            return Outcome(False, error.smtp_code < 500, masked(f"{error.smtp_code} {what}", hidden))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Outcome(False, True, masked(f"{self._config.smarthost}: {error}", {password, crammed}))

    async def _mailed(self, notification: Notification, password: str, crammed: str) -> Outcome:
        message = self.message(notification)
        left = self._left.get(notification.dedup_key) or _Left(recipients(message))
        try:
            refused, taken = (
                await self._delivered(notification.dedup_key, message, left, password, crammed),
                True,
            )
        except smtplib.SMTPRecipientsRefused as error:
            refused, taken = error.recipients, False
        left.heard(refused, taken)
        self._left.pop(notification.dedup_key, None)
        if left.to:
            self._left[notification.dedup_key] = left
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        return self._outcome(left, refused)

    async def _delivered(
        self, key: str, message: EmailMessage, left: _Left, password: str, crammed: str
    ) -> Refused:
        dialogue = Dialogue(self._config, self._host, self._port)
        to = tuple(left.to)
        try:
            return await self._threads.run(
                key, TIMEOUT / SECOND, lambda: dialogue.deliver(message, to, password, crammed)
            )
        except (TimeoutError, asyncio.CancelledError):
            dialogue.end()  # the thread wakes up, and its place is free again
            raise

    def _outcome(self, left: _Left, refused: Refused) -> Outcome:
        """What became of it; recipients that are refused for good are logged once per change."""
        never = ", ".join(f"{address} ({said})" for address, said in sorted(left.refused.items()))
        if left.taken and never != self._said:
            self._said = never
            log.warning(
                "%s: recipients: %s", self._config.smarthost, masked(never, ()) or "all are taken again"
            )
        if left.to:
            later = ", ".join(f"{each} ({refused[each][0]})" for each in left.to if each in refused)
            words = f"not taken yet: {later or ', '.join(left.to)}" + (f"; refused: {never}" if never else "")
            return Outcome(False, True, masked(words, ()))
        if not left.taken:
            return Outcome(False, False, masked(f"no recipient was accepted: {never}", ()))
        words = f"{self._config.smarthost} took the mail"
        return Outcome(True, False, masked(f"{words}, but refused {never}" if never else words, ()))

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
