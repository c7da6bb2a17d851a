"""The agent's own HTTP: /metrics and the health pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.exposition import Exposition
from agent.http.serve import Page, PageServer
from agent.reading import Reading
from model.settings import parse_listen
from wire.render import CONTENT_TYPE


class Server:
    """Listens on `listen`. `health` says whether the agent is ready and why."""

    def __init__(
        self,
        listen: str,
        exposition: Exposition,
        readings: Callable[[], Sequence[Reading]],
        health: Callable[[], tuple[bool, str]],
    ) -> None:
        self._listen = listen
        self._exposition = exposition
        self._readings = readings
        self._health = health
        self._pages = PageServer(
            {"/metrics": self._metrics, "/-/healthy": self._healthy, "/-/ready": self._ready}
        )
        self.address = listen

    async def start(self) -> None:
        """Raises OSError if the address is taken."""
        host, port = parse_listen(self._listen)
        host, port = await self._pages.start(host or None, port)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def close(self) -> None:
        """Stop listening."""
        await self._pages.close()

    def _metrics(self) -> Page:
        return Page(self._exposition.render(self._readings()), content_type=CONTENT_TYPE)

    def _healthy(self) -> Page:
        return Page(b"The agent is up.\n")

    def _ready(self) -> Page:
        ready, why = self._health()
        return Page(f"{why}\n".encode(), 200 if ready else 503)
