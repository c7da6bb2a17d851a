"""The endpoints that take samples in: frames of the agents and remote write of a Prometheus."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from aiohttp import web

from analyzer.access import answer
from telemetry.frame_ingest import FrameReceiver
from telemetry.remote_write import RemoteWriteReceiver
from telemetry.window import Window
from wire.frames import BOOT, WINDOW_END

log = logging.getLogger("fleetowl.analyzer")


class Intake:
    """Hands bodies to the receivers. `now` reads the clock (ms); `wake` asks for a tick at once.

    `window_end` (ms) is up to when an earlier process left a window; agents send again what came after that.
    """

    def __init__(
        self,
        window: Window,
        frames: FrameReceiver,
        remote_write: RemoteWriteReceiver,
        now: Callable[[], int],
        wake: Callable[[], None],
        window_end: int = 0,
    ) -> None:
        self._window = window
        self._frames = frames
        self._remote_write = remote_write
        self._now = now
        self._wake = wake
        self._who = {BOOT: uuid.uuid4().hex, WINDOW_END: str(window_end)}

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [
            web.post("/api/v1/frames", self.take_frames),
            web.post("/api/v1/write", self.take_remote_write),
        ]

    async def take_frames(self, request: web.Request) -> web.Response:
        """POST /api/v1/frames: 200, 409 for a schema that is not known, 400 for malformed bytes."""
        body, now = await request.read(), self._moment()
        received = self._frames.receive(body, now)
        for event in received.events:
            log.info("node %s reports %s: %s", event.node, event.event.type, event.event.text)
            self._wake()
        if received.status == 200:
            return web.json_response({"accepted": received.accepted}, headers=self._who)
        if received.status == 409:
            return web.json_response({"need_schema": True, "accepted": received.accepted}, status=409)
        return answer(received.status, "bad_data", received.reason)

    async def take_remote_write(self, request: web.Request) -> web.Response:
        """POST /api/v1/write: 204, 400 with the reason, 415 for what is not supported yet."""
        body, now = await request.read(), self._moment()
        received = self._remote_write.receive(
            body,
            request.headers.get("Content-Type", ""),
            request.headers.get("Content-Encoding", ""),
            request.headers.get("X-Fleetowl-Sender", request.remote or "unknown"),
            now,
        )
        if received.status < 300:
            return web.Response(status=received.status)
        return answer(received.status, "bad_data", received.reason)

    def _moment(self) -> int:
        """Now, and the window knows it: that is what "too old" and "too far ahead" are measured against."""
        now = self._now()
        self._window.advance(now)
        return now
