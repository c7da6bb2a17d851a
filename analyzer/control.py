"""What operators and orchestrators ask of the process: health, readiness, metrics, reload, audit, undo."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from analyzer.access import answer
from analyzer.formats import success
from model.settings import ConfigurationError
from runbooks.audit import AuditUnavailable, read, verify
from wire.render import CONTENT_TYPE

if TYPE_CHECKING:
    from analyzer.service import Analyzer

SILENCE_SECONDS = 60.0
"""Without a tick for so long the process is not healthy, though it answers."""


class Control:
    """Routes that concern the process itself."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [
            web.get("/", self.index),
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.ready),
            web.get("/metrics", self.metrics),
            web.post("/-/reload", self.reload),
            web.get("/api/v1/runbooks/audit", self.audit),
            web.post("/api/v1/runbooks/undo/{run}", self.undo),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """What can be asked here."""
        paths = sorted({route.resource.canonical for route in request.app.router.routes() if route.resource})
        paths = [path for path in paths if not path.startswith("/{prefix}")]
        return web.Response(text="Fleetowl\n" + "".join(f"  {path}\n" for path in paths if path != "/"))

    async def healthy(self, request: web.Request) -> web.Response:
        """200 while it ticks; 503 if it only answers, so that an orchestrator starts it again."""
        if self._analyzer.silence > SILENCE_SECONDS:
            text = f"The last tick was {self._analyzer.silence:.0f} s ago.\n"
            return web.Response(status=503, text=text)
        return web.Response(text="Fleetowl is healthy.\n")

    async def ready(self, request: web.Request) -> web.Response:
        """200 once the first tick has run, 503 before."""
        if self._analyzer.pipeline.tick.count:
            return web.Response(text="Fleetowl is ready.\n")
        return web.Response(status=503, text="The first tick has not run yet.\n")

    async def metrics(self, request: web.Request) -> web.Response:
        """Fleetowl's own metrics in the text format."""
        body = self._analyzer.telemetry.render()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def reload(self, request: web.Request) -> web.Response:
        """Take over the configuration as it is on disk now, or keep the old one and say what is wrong."""
        try:
            sentence = await self._analyzer.reload()
        except ConfigurationError as error:
            return answer(400, "bad_data", str(error))
        return web.Response(text=f"{sentence}\n")

    async def audit(self, request: web.Request) -> web.Response:
        """All lines of the audit log, and whether its chain holds."""
        path = self._analyzer.settings.runbooks.audit_file
        if path is None or not path.exists():
            return success({"lines": [], "verdict": "there is no audit log: set runbooks.audit_file"})
        try:
            lines = await asyncio.to_thread(lambda: list(read(path)))
            verdict = await asyncio.to_thread(verify, path)
        except AuditUnavailable as error:
            return answer(503, "unavailable", str(error))
        return success({"lines": lines, "verdict": str(verdict)})

    async def undo(self, request: web.Request) -> web.Response:
        """Take back what a run did; 409 with the reason where that cannot be."""
        analyzer = self._analyzer
        run = request.match_info["run"]
        decision = analyzer.pipeline.runbooks.undo(run, request.remote or "someone", analyzer.clock.now())
        if not decision:
            return answer(409, "conflict", str(decision))
        analyzer.wake()
        return success(str(decision))
