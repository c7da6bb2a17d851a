"""The agent's own HTTP: /metrics and the health pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from aiohttp import web

from agent.reading import Reading
from model.labels import Labels
from model.metric import Metric
from model.settings import parse_listen
from wire.render import CONTENT_TYPE, TextRenderer

_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class Exposition:
    """Renders readings as text, declaring each family the first time that it is met."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics
        self._renderer = TextRenderer()
        self._declared: set[str] = set()

    def render(self, readings: Sequence[Reading]) -> bytes:
        """The series of all readings, grouped by family."""
        for metric in self._metrics():
            self._declare(metric)
        for reading in readings:
            for name, kind in reading.types.items():
                if name not in self._declared and not _is_part(name, kind, reading):
                    self._declare(Metric(name, kind, ""))
        return self._renderer.render(_pairs(readings))

    def _declare(self, metric: Metric) -> None:
        if metric.name not in self._declared:
            self._declared.add(metric.name)
            self._renderer.declare(metric)


def _is_part(name: str, kind: str, reading: Reading) -> bool:
    """Whether this is a suffixed series of a histogram or summary, which its family declares."""
    return any(
        name.endswith(suffix) and reading.types.get(name.removesuffix(suffix)) == kind
        for suffix in _SUFFIXES.get(kind, ())
    )


def _pairs(readings: Iterable[Reading]) -> Iterator[tuple[Labels, float]]:
    for reading in readings:
        series = reading.exported if reading.exported is not None else reading.series
        yield from zip(series, reading.values, strict=True)


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
        self._runner: web.AppRunner | None = None
        self.address = listen

    async def start(self) -> None:
        """Raises OSError if the address is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/-/healthy", self._healthy),
                web.get("/-/ready", self._ready),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        host, port = parse_listen(self._listen)
        site = web.TCPSite(self._runner, host or None, port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        bound = self._runner.addresses[0]
        self.address = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        body = self._exposition.render(self._readings())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="The agent is up.\n")

    async def _ready(self, _: web.Request) -> web.Response:
        ready, why = self._health()
        return web.Response(status=200 if ready else 503, text=f"{why}\n")
