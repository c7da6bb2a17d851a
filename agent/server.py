"""The agent's own HTTP: /metrics and the health pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_

from aiohttp import web

from agent.reading import Reading
from model.labels import Labels
from model.metric import Metric
from model.settings import parse_listen
from wire.render import CONTENT_TYPE, Families, PageRenderer

_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class Exposition:
    """Renders readings as text, declaring each family the first time that it is met."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics
        self._families = Families()
        self._renderer = PageRenderer(self._families)
        self._declared: set[str] = set()
        self._met: list[Mapping[str, str]] = []
        self._readings: list[Reading] = []
        self._page = b""

    def render(self, readings: Sequence[Reading]) -> bytes:
        """The series of all readings, grouped by family; the page before if the readings are those before."""
        self._declare_all(readings)
        if not _same(readings, self._readings):
            self._page = self._renderer.render([(_exported(reading), reading.values) for reading in readings])
            self._readings = list(readings)
        return self._page

    def _declare_all(self, readings: Sequence[Reading]) -> None:
        for metric in self._metrics():
            self._declare(metric)
        types = [reading.types for reading in readings]
        if _same(types, self._met):
            return
        self._met = types
        for reading in readings:
            for name, kind in reading.types.items():
                if name not in self._declared and not _is_part(name, kind, reading):
                    self._declare(Metric(name, kind, ""))

    def _declare(self, metric: Metric) -> None:
        if metric.name not in self._declared:
            self._declared.add(metric.name)
            self._families.declare(metric)
            self._readings = []


def _same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether these are the same objects."""
    return len(some) == len(others) and all(map(is_, some, others))


def _is_part(name: str, kind: str, reading: Reading) -> bool:
    """Whether this is a suffixed series of a histogram or summary, which its family declares."""
    return any(
        name.endswith(suffix) and reading.types.get(name.removesuffix(suffix)) == kind
        for suffix in _SUFFIXES.get(kind, ())
    )


def _exported(reading: Reading) -> Sequence[Labels]:
    return reading.exported if reading.exported is not None else reading.series


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
