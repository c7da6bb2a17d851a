"""A mail server that keeps what it gets, and misbehaves where it is told to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Iterable


class MailServer:
    """Speaks enough SMTP; `refuse` is an answer to RCPT, `silent` never greets.

    `answers` are those to RCPT by address; `trickles` sends bytes that never become a line.
    """

    def __init__(self, auth: Iterable[str] = (), tls: ssl.SSLContext | None = None, refuse: str = "") -> None:
        self.auth, self.tls, self.refuse = tuple(auth), tls, refuse
        self.silent = False
        self.trickles = False
        self.answers: dict[str, str] = {}
        self.mails: list[bytes] = []
        self.said: list[str] = []
        self.secured = False
        self._trickling: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen; the address is host:port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        self.trickles = False
        await asyncio.sleep(0.05)  # for what trickles to see it
        await asyncio.gather(*(writer.wait_closed() for writer in self._trickling), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        async def hear() -> str:
            line = (await reader.readline()).decode().strip()
            self.said.append(line)
            return line

        if self.silent or self.trickles:
            await self._never_greet(reader, writer)
            return
        await say("220 here")
        while line := await hear():
            word = line.split()[0].upper()
            if word in ("EHLO", "HELO"):
                offers = ["STARTTLS"] if self.tls and not self.secured else []
                offers += [f"AUTH {' '.join(self.auth)}"] if self.auth else []
                await say("\r\n".join(["250-here", *(f"250-{offer}" for offer in offers), "250 HELP"]))
            elif word == "STARTTLS" and self.tls:
                await say("220 go on")
                await writer.start_tls(self.tls)
                self.secured = True
            elif word == "AUTH":
                await self._authenticate(line, say, hear)
            elif word == "RCPT":
                await say(self.refuse or self.answers.get(line[line.find("<") + 1 : -1], "250 ok"))
            elif word == "DATA":
                await say("354 go on")
                lines = []
                while (part := await reader.readline()) not in (b".\r\n", b""):
                    lines.append(part)
                self.mails.append(b"".join(lines))
                await say("250 taken")
            elif word == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 ok")
        writer.close()

    async def _never_greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trickles:
            self._trickling.append(writer)
        else:
            await reader.read()
        with contextlib.suppress(OSError):
            while self.trickles and not reader.at_eof():
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    async def _authenticate(self, line: str, say, hear) -> None:  # type: ignore[no-untyped-def]
        method = line.split()[1].upper()
        if method == "LOGIN":
            if len(line.split()) < 3:
                await say("334 VXNlcm5hbWU6")
                await hear()
            await say("334 UGFzc3dvcmQ6")
            await hear()
        if method == "CRAM-MD5":
            await say(f"334 {base64.b64encode(b'<1@here>').decode()}")
            await hear()
        await say("235 welcome")
