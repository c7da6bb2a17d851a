"""The dialogue with a mail server about one mail; it blocks, and can be ended from another thread."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import getaddresses

from alertmanager.settings.http import HTTPConfig
from alertmanager.settings.integrations.email import EmailConfig

STEP = 10
"""Seconds for one step of the dialogue."""

Refused = dict[str, tuple[int, bytes]]
"""What the server said to each recipient that it did not take."""


class _Server(smtplib.SMTP):
    """A connection that is of no use any more once its time is over."""

    over = False

    def getreply(self) -> tuple[int, bytes]:
        """The next answer. Raises TimeoutError when the time is over."""
        if self.over:  # said while the socket was being made
            raise TimeoutError("its time is over")
        return super().getreply()

    def end(self) -> None:
        """Wake the thread that reads or writes: a server may trickle bytes for ever."""
        self.over = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _SecureServer(_Server, smtplib.SMTP_SSL):
    """The same where TLS comes first."""


class Dialogue:
    """One mail to one server. `port` 465 begins with TLS unless the configuration says otherwise."""

    def __init__(self, config: EmailConfig, host: str, port: int) -> None:
        self._config = config
        self._host, self._port = host, port
        implicit = config.force_implicit_tls
        self._implicit = port == 465 if implicit is None else implicit
        self._server: _Server | None = None
        self._over = False

    def end(self) -> None:
        """Break off, from another thread."""
        self._over = True
        if self._server is not None:
            self._server.end()

    def deliver(self, message: EmailMessage, to: Sequence[str], password: str, crammed: str) -> Refused:
        """Send it to these recipients; returns those that were refused. Raises SMTPException and OSError."""
        hello = self._config.hello or None
        server = (
            _SecureServer(local_hostname=hello, timeout=STEP, context=self._tls())
            if self._implicit
            else _Server(local_hostname=hello, timeout=STEP)
        )
        self._server = server
        server.over = server.over or self._over
        try:
            host = self._host.strip("[]")
            server._host = host  # type: ignore[attr-defined]  # the name that TLS asks for
            code, words = server.connect(host, self._port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, words)
            server.ehlo_or_helo_if_needed()
            if not self._implicit and self._config.require_tls:
                if not server.has_extn("starttls"):
                    raise smtplib.SMTPException(
                        "the mail server offers no STARTTLS, which require_tls asks for"
                    )
                server.starttls(context=self._tls())
                server.ehlo()
            self._authenticate(server, password, crammed)
            refused: Refused = server.send_message(message, to_addrs=to)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # the mail is theirs already, whatever they say now
            return refused
        finally:
            server.close()

    def _tls(self) -> ssl.SSLContext:
        return HTTPConfig(tls_config=self._config.tls_config).ssl_context()

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


def recipients(message: EmailMessage) -> list[str]:
    """Everybody whom the mail is for."""
    fields = [str(value) for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
    return list(dict.fromkeys(address for _, address in getaddresses(fields) if address))
