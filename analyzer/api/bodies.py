"""Large answers: written piece by piece so that the loop can turn in between, and compressed beside it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Sequence

from aiohttp import web

from analyzer.api.turns import Turn
from analyzer.formats import envelope

WORTH_COMPRESSING = 64 * 1024
JSON = "application/json"


async def listed(pieces: Iterable[str], turn: Turn) -> str:
    """A JSON array of elements that are JSON already."""
    found = []
    for piece in pieces:
        found.append(piece)
        await turn.rest()
    return f"[{','.join(found)}]"


async def respond(
    request: web.Request, data: str, warnings: Sequence[str] = (), infos: Sequence[str] = ()
) -> web.Response:
    """A good answer around data that is JSON already."""
    return await sent(request, envelope(data, warnings, infos), JSON)


async def sent(request: web.Request, text: str, content_type: str) -> web.Response:
    """The text, compressed in another thread if it is long and the asker takes gzip."""
    body = text.encode("utf-8", "backslashreplace")
    headers = {"Content-Type": content_type}
    if len(body) >= WORTH_COMPRESSING and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=body, headers=headers)
