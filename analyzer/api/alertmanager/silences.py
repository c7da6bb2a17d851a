"""Silences: list, show, make, change, end. What is answered with yes is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from alertmanager.silences import Change, Draft, RefusedSilence, Silence, Silences, UnknownSilence
from analyzer.api.alertmanager.answers import Handler, Refused, found
from analyzer.api.alertmanager.filters import flag, matchers
from analyzer.pipeline import Pipeline
from model.matcher import Matcher, Op
from model.moment import format_moment
from store.durable import persist

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_370_764_800_000  # 9999-01-01: what is later cannot be written as a date

_OPS = {
    (False, True): Op.EQUAL,
    (False, False): Op.NOT_EQUAL,
    (True, True): Op.MATCHES,
    (True, False): Op.NOT_MATCHES,
}
_KINDS = {op: kind for kind, op in _OPS.items()}


class _Matcher(msgspec.Struct):
    name: str
    value: str
    isRegex: bool
    isEqual: bool | None = True


class _Posted(msgspec.Struct):
    matchers: list[_Matcher]
    startsAt: datetime
    endsAt: datetime
    createdBy: str
    comment: str
    id: str = ""
    annotations: dict[str, str] | None = None


class SilencesApi:
    """The book of silences over HTTP. `wake` asks for a tick, `now` reads the clock (ms)."""

    def __init__(
        self, pipeline: Callable[[], Pipeline], now: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._pipeline = pipeline
        self._now = now
        self._wake = wake

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/silences", self.silences
        yield "POST", "/silences", self.post
        yield "GET", "/silence/{id}", self.silence
        yield "DELETE", "/silence/{id}", self.expire

    async def silences(self, request: web.Request) -> web.Response:
        """Those in the wanted states that have every matcher of the filter, as Alertmanager compares them."""
        now, asked = self._now(), set(matchers(request))
        wanted = {state: flag(request, state) for state in ("active", "pending", "expired")}
        return found(
            [
                document_of(one, now)
                for one in self._book.ordered(now)
                if wanted[one.state(now).value] and asked <= set(one.matchers)
            ]
        )

    async def silence(self, request: web.Request) -> web.Response:
        """One silence."""
        one = self._book.get(request.match_info["id"])
        if one is None:
            raise Refused(404, f"there is no silence {request.match_info['id']}")
        return found(document_of(one, self._now()))

    async def post(self, request: web.Request) -> web.Response:
        """Make or change one; answers its id, which is another one where it could not change in place."""
        draft = read(await request.read())
        change = self._kept(lambda now: self._book.set(draft, now))
        return found({"silenceID": change.id})

    async def expire(self, request: web.Request) -> web.Response:
        """End one now."""
        self._kept(lambda now: self._book.expire(request.match_info["id"], now))
        return web.Response()

    @property
    def _book(self) -> Silences:
        return self._pipeline().alerting.silences

    def _kept(self, change: Callable[[int], Change]) -> Change:
        """Make a change that is on disk, or none. Raises Refused."""
        now = self._now()
        try:
            made = change(now)
        except RefusedSilence as error:
            raise Refused(400, f"invalid silence: {error}") from error
        except UnknownSilence as error:
            raise Refused(404, str(error)) from error
        decision = persist(self._pipeline().database, [self._book])
        if not decision:
            self._book.revert(made, now)
            raise Refused(503, f"the silence was not taken: {decision}", retry_after=1)
        self._wake()
        return made


def read(body: bytes) -> Draft:
    """A silence as it is posted. Raises Refused."""
    try:
        posted = msgspec.json.decode(body, type=_Posted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"bad silence: {error}") from error
    return Draft(
        tuple(
            Matcher(one.name, _OPS[one.isRegex, one.isEqual is not False], one.value)
            for one in posted.matchers
        ),
        _moment(posted.startsAt),
        _moment(posted.endsAt),
        posted.createdBy,
        posted.comment,
        posted.annotations or {},
        posted.id,
    )


def document_of(silence: Silence, now: int) -> dict[str, Any]:
    """Alertmanager's gettableSilence."""
    matchers = []
    for one in silence.matchers:
        regex, equal = _KINDS[one.op]
        matchers.append({"isEqual": equal, "isRegex": regex, "name": one.name, "value": one.value})
    return {
        "id": silence.id,
        "status": {"state": silence.state(now).value},
        "updatedAt": format_moment(silence.updated_at),
        "annotations": silence.annotations,
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": format_moment(silence.ends_at),
        "matchers": matchers,
        "startsAt": format_moment(silence.starts_at),
    }


def _moment(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Refused(400, f"bad silence: the time {moment.isoformat()} has no zone")
    return min((moment - _EPOCH) // timedelta(milliseconds=1), _LATEST)
