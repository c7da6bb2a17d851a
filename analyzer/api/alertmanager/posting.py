"""POST /alerts: what is answered with yes is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from aiohttp import web

from alertmanager.admission import Admission
from alertmanager.backlog import Row
from alertmanager.intake import Limits, MalformedBody, Reader, Taken, encode
from analyzer.api.alertmanager.answers import Handler, Refused
from analyzer.journal import Journal
from analyzer.pipeline import Pipeline
from model.alert import Alert, Tier
from model.metric import Metric, Sample
from store.errors import StoreUnavailable

METRICS = (
    Metric("fleetowl_alertmanager_alerts_received_total", "counter", "Alerts accepted by API."),
    Metric(
        "fleetowl_alertmanager_alerts_refused_total",
        "counter",
        "Alerts refused by API: invalid in themselves, or beyond a limit.",
        ("reason",),
    ),
    Metric("fleetowl_alertmanager_annotations_cut_total", "counter", "Annotations that were too long."),
)

CALM_SECONDS = 0.1
"""Without a POST for so long the tick is asked for at once; before, only for a P0. In a storm the senders
come first: what they have sent waits safely, and is processed by the ticks that come anyway.
"""

SLICE = 500
"""So many alerts are read before others get the loop."""


class PostingApi:
    """Takes alerts in. `now` reads the clock (ms); `wake` asks for a tick at once."""

    def __init__(self, pipeline: Pipeline, now: Callable[[], int], wake: Callable[[], None]) -> None:
        self._pipeline = pipeline
        self._now = now
        self._wake = wake
        self._reader = Reader()
        self._admission = Admission(0, self._known)
        self._admission.seed(alert.fingerprint for alert in pipeline.dispatcher.alerts)
        self.journal = Journal(pipeline.database, self._accepted)
        self._calling: asyncio.TimerHandle | None = None
        self._under_way = 0
        self._counts = dict.fromkeys(("received", "invalid", "limit", "cut"), 0)

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler."""
        yield "POST", "/alerts", self.post

    async def post(self, request: web.Request) -> web.Response:
        """200, or 400 and 429 for the alerts that were not taken: the others were."""
        if self.journal.full:
            raise Refused(503, "the disk is behind with alerts that were sent before", retry_after=1)
        own = self._pipeline.settings.alertmanager.fleetowl
        timeout = self._pipeline.settings.alertmanager.global_.resolve_timeout
        self._reader.limits = Limits(annotation=own.max_annotation, ahead=timeout)
        self._admission.most = own.max_alerts
        self._under_way += 1
        try:
            return await self._taken(request, own.max_alerts_per_request)
        finally:
            self._under_way -= 1

    async def _taken(self, request: web.Request, most: int) -> web.Response:
        body, now = await request.read(), self._now()
        read = await self._read(body, most, now)
        admitted = self._admission.admit(read.alerts, request.remote or "", now)
        if admitted.alerts:
            as_sent = not (read.refused or read.cut or admitted.refused)
            await self._keep(body if as_sent else encode(admitted.alerts), admitted.alerts, now)
        self._count(received=len(admitted.alerts), invalid=read.refused, limit=admitted.refused, cut=read.cut)
        if read.refused:
            raise Refused(400, _sentence(read, admitted.reason))
        if admitted.refused:
            raise Refused(429, f"{admitted.refused} alerts were not taken: {admitted.reason}", retry_after=60)
        return web.Response()

    @property
    def calm(self) -> bool:
        """Whether nobody has sent anything for a while: time to work off what waits."""
        return self._calling is None and not self._under_way

    async def drain(self) -> None:
        """Wait until what was accepted is on disk."""
        await self.journal.close()
        if self._calling is not None:
            self._calling.cancel()

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        counts = self._counts
        yield Sample("fleetowl_alertmanager_alerts_received_total", {}, counts["received"])
        for reason in ("invalid", "limit"):
            yield Sample("fleetowl_alertmanager_alerts_refused_total", {"reason": reason}, counts[reason])
        yield Sample("fleetowl_alertmanager_annotations_cut_total", {}, counts["cut"])

    async def _read(self, body: bytes, most: int, now: int) -> Taken:
        """The alerts of the body, in slices. Raises Refused."""
        try:
            posted = self._reader.posted(body)
        except MalformedBody as error:
            raise Refused(400, str(error)) from error
        if len(posted) > most:
            raise Refused(400, f"{len(posted)} alerts in one request, and {most} are the most: send less")
        alerts: list[Alert] = []
        reasons: dict[str, None] = {}
        refused = cut = 0
        for first in range(0, len(posted), SLICE):
            if first:
                await asyncio.sleep(0)
            taken = self._reader.read(posted[first : first + SLICE], now)
            alerts += taken.alerts
            refused += taken.refused
            cut += taken.cut
            reasons |= dict.fromkeys(taken.reasons)
        return Taken(alerts, refused, tuple(reasons), cut)

    async def _keep(self, body: bytes, alerts: Sequence[Alert], now: int) -> None:
        row = Row(self._pipeline.backlog.number(), now, body)
        try:
            await self.journal.append(row, alerts)
        except StoreUnavailable as error:
            raise Refused(503, f"the alerts were not taken: {error}", retry_after=1) from error

    def _accepted(self, row: Row, alerts: Sequence[Alert]) -> None:
        self._pipeline.backlog.add(alerts, row.sequence, row.at)
        if any(alert.tier is Tier.P0 for alert in alerts):
            self._wake()
            return
        if self._calling is not None:
            self._calling.cancel()
        self._calling = asyncio.get_running_loop().call_later(CALM_SECONDS, self._call)

    def _call(self) -> None:
        self._calling = None
        self._wake()

    def _known(self, fingerprint: int) -> bool:
        return self._pipeline.dispatcher.knows(fingerprint) or fingerprint in self._pipeline.backlog

    def _count(self, **counts: int) -> None:
        for name, count in counts.items():
            self._counts[name] += count


def _sentence(read: Taken, also: str) -> str:
    """What a sender is told whose alerts were not all taken."""
    reasons = "; ".join([*read.reasons[:10], *([also] if also else [])])
    alerts = "1 alert was" if read.refused == 1 else f"{read.refused} alerts were"
    return f"{alerts} not taken, {len(read.alerts)} were good: {reasons}"
