"""Large answers: written piece by piece so that the loop can turn in between, and compressed beside it."""

from __future__ import annotations

import asyncio
import gzip
import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from aiohttp import web

from analyzer.api.turns import Turn
from analyzer.formats import encode
from model.labels import Labels

WORTH_COMPRESSING = 64 * 1024
JSON = "application/json"
_RUN = 2000


class Body:
    """The bytes of an answer, in the order in which they are added."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._parts: list[bytes] = []

    def add(self, text: str) -> None:
        """The next piece. A half of a surrogate pair, which UTF-8 has no bytes for, is escaped."""
        self._parts.append(text.encode("utf-8", "backslashreplace"))

    async def add_all(self, pieces: Iterable[str], between: str = "") -> None:
        """The next pieces, resting where the slice is used up."""
        first = True
        for piece in pieces:
            self.add(piece if first else between + piece)
            first = False
            await self._turn.rest()

    async def add_list(self, elements: Iterable[str]) -> None:
        """A JSON array of elements that are JSON already."""
        self.add("[")
        await self.add_all(elements, ",")
        self.add("]")

    async def sent(self, request: web.Request, content_type: str = JSON) -> web.Response:
        """All of it, compressed in another thread if it is long and the asker takes gzip."""
        body = b"".join(self._parts)
        headers = {"Content-Type": content_type}
        if len(body) >= WORTH_COMPRESSING and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return web.Response(body=body, headers=headers)


class Answered(Body):
    """A good answer of Prometheus' API: what is added is its `data`, JSON already."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        self.add('{"status":"success","data":')

    def close(self, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> None:
        """What stands beside the data; nothing more may be added."""
        for name, found in (("warnings", warnings), ("infos", infos)):
            if found:
                self.add(f',"{name}":{encode(list(found))}')
        self.add("}")


async def in_order(labels: Iterable[Labels], turn: Turn) -> Iterator[Labels]:
    """The label sets sorted, with rests: sorting a million at once would hold the loop for seconds."""
    runs, rest = [], iter(labels)
    while run := list(islice(rest, _RUN)):
        run.sort(key=_pairs)
        runs.append(run)
        await turn.rest()
    return heapq.merge(*runs, key=_pairs)


def _pairs(labels: Labels) -> tuple[tuple[str, str], ...]:
    return labels.pairs
