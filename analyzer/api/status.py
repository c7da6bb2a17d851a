"""/api/v1/status/buildinfo: how Grafana and Prometheus' clients recognise whom they talk to.

Grafana takes a server without `features` for a Prometheus, and its version for the functions it offers; so
`version` is the Prometheus whose language is spoken here, and `fleetowl` is what really answers.
The other pages of /api/v1/status are asked for by Prometheus' own user interface only: they are left out.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

from aiohttp import web

from analyzer.api.errors import Handler
from analyzer.formats import success

SPOKEN = "3.0.0"
"""The version of Prometheus whose query language and API this is."""


class StatusApi:
    """Answers with what this process is. `version` is Fleetowl's own."""

    def __init__(self, version: str) -> None:
        self._version = version

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/status/buildinfo", self.buildinfo

    async def buildinfo(self, request: web.Request) -> web.Response:
        """Prometheus' keys; `goVersion` is what runs here instead."""
        return success(
            {
                "version": SPOKEN,
                "revision": f"fleetowl-{self._version}",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": f"python{platform.python_version()}",
                "fleetowl": {"version": self._version},
            }
        )
