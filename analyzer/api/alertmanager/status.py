"""GET /status and GET /receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web

from analyzer.api.alertmanager.alerts import labels_of
from analyzer.api.alertmanager.answers import Handler, found
from analyzer.api.alertmanager.filters import receivers
from analyzer.api.alertmanager.original import original
from analyzer.pipeline import Pipeline
from model.moment import format_moment

SPOKEN = "0.34.0"
"""The Alertmanager whose API this is. Clients choose by it how they speak, so it is no version of our own."""


class StatusApi:
    """What this is and how it is configured. `version` is Fleetowl's, `started_at` in ms."""

    def __init__(self, pipeline: Callable[[], Pipeline], version: str, started_at: int) -> None:
        self._pipeline = pipeline
        self._version = version
        self._started_at = started_at

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/status", self.status
        yield "GET", "/receivers", self.receivers

    async def status(self, request: web.Request) -> web.Response:
        """The version, and the configuration without its secrets."""
        said = {
            "version": SPOKEN,
            "revision": f"fleetowl {self._version}",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }
        return found(
            {
                "cluster": {"name": "", "peers": [], "status": "disabled"},
                "config": {"original": original(self._pipeline().settings.alertmanager)},
                "uptime": format_moment(self._started_at),
                "versionInfo": said,
            }
        )

    async def receivers(self, request: web.Request) -> web.Response:
        """The names of the receivers."""
        known = labels_of(self._pipeline().settings.alertmanager.receivers)
        takes = receivers(request, known)
        return found([{"name": name, "labels": labels} for name, labels in known.items() if takes(name)])
