"""The faces of the simulated cluster: every exporter and engine on a loopback port of its own.

A monitor sees nothing else of the simulation. `Faces` moves the cluster in real time, `speed` times as
fast, or only by `tick` when a test drives it. After `stop` no task, port or connection is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Protocol

from aiohttp import web

from simulator import dcgm_page, gateway_page, kube_page, node_page, vllm_page
from simulator.cluster import Cluster
from simulator.endpoint import Endpoint
from simulator.node import Node
from simulator.node_api import NodeApi
from simulator.replica import Replica
from wire.render import CONTENT_TYPE

log = logging.getLogger("fleetowl.simulator")

_WAKE = 0.1  # seconds between steps in real time
_GRACE = 0.05  # seconds for answers under way at the stop; 0 would mean for ever to aiohttp
_STEP = 1_000  # most virtual ms in one go, so that requests are answered in between


class Target(NamedTuple):
    """One scrape target, as a static configuration of Prometheus would name it."""

    job: str
    url: str
    labels: Mapping[str, str]


class _Renders(Protocol):
    def render(self) -> bytes: ...


class Faces:
    """All endpoints of one cluster. Also an async context manager."""

    def __init__(
        self,
        cluster: Cluster,
        speed: float = 1.0,
        drive: bool = True,
        host: str = "127.0.0.1",
        token: str | None = None,
    ) -> None:
        self.cluster, self.speed = cluster, speed
        self.api = NodeApi(cluster, token)
        self._host, self._drive = host, drive
        self._server: web.Server | None = None
        self._driver: asyncio.Task[None] | None = None
        self.endpoints = [*self._node_endpoints(), *self._replica_endpoints(), *self._cluster_endpoints()]
        self._by_port: dict[int, Endpoint] = {}

    async def start(self) -> None:
        """Open all ports and, unless a test drives, let time run. Raises OSError if a port cannot be had."""
        self._server = web.Server(self._route, access_log=None)
        try:
            for endpoint in self.endpoints:
                endpoint.reserve(self._host)
                self._by_port[endpoint.port] = endpoint
            await self._reconcile()
        except OSError:
            await self.stop()
            raise
        if self._drive:
            self._driver = asyncio.create_task(self._run(), name="simulator")
            self._driver.add_done_callback(_report)

    async def stop(self) -> None:
        """Close everything; may be called twice."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
            self._driver = None
        for endpoint in self.endpoints:
            endpoint.release()
        if self._server is not None:
            await self._server.shutdown(_GRACE)
            self._server = None
        self._by_port.clear()

    async def __aenter__(self) -> Faces:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def tick(self, milliseconds: int) -> None:
        """Move the cluster on and let the ports follow what became of the processes."""
        while milliseconds > 0:
            self.cluster.step(min(milliseconds, _STEP))
            milliseconds -= _STEP
            await asyncio.sleep(0)
        await self._reconcile()

    def targets(self) -> list[Target]:
        """Every scrape target (known once started)."""
        return [
            Target(endpoint.job, f"{self._base(endpoint)}/metrics", endpoint.labels)
            for endpoint in self.endpoints
            if endpoint.job != "kubernetes"
        ]

    def endpoint(self, job: str, name: str = "") -> Endpoint:
        """The endpoint of a job and a node or pod. Raises KeyError."""
        for endpoint in self.endpoints:
            if endpoint.job == job and name in ("", endpoint.name):
                return endpoint
        raise KeyError(f"{job} {name}")

    def url(self, job: str, name: str = "") -> str:
        """The base URL of an endpoint, without a path."""
        return self._base(self.endpoint(job, name))

    @property
    def kubernetes_url(self) -> str:
        """Where the double of the Kubernetes API answers."""
        return self.url("kubernetes")

    def _base(self, endpoint: Endpoint) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{endpoint.port}"

    def _node_endpoints(self) -> list[Endpoint]:
        made = []
        for node in self.cluster.nodes:
            labels = {"node": node.name}
            dcgm = _page(dcgm_page.DcgmPage(self.cluster, node), CONTENT_TYPE)
            made.append(Endpoint("dcgm", node.name, labels, dcgm, _exporter_state(node)))
            host = _page(node_page.NodePage(node), CONTENT_TYPE)
            made.append(Endpoint("node", node.name, labels, host, _host_state(node)))
        return made

    def _replica_endpoints(self) -> list[Endpoint]:
        cluster, made = self.cluster, []
        for replica in cluster.replicas:
            labels = {
                "namespace": cluster.settings.namespace,
                "node": replica.node,
                "pod": replica.name,
                "service": cluster.service.name,
            }
            page = vllm_page.VllmPage(replica, cluster.settings.engine)
            handle = _engine(replica, _page(page, vllm_page.CONTENT_TYPE))
            made.append(Endpoint("vllm", replica.name, labels, handle, _engine_state(replica)))
        return made

    def _cluster_endpoints(self) -> list[Endpoint]:
        cluster = self.cluster
        kube = _page(kube_page.KubePage(cluster), CONTENT_TYPE)
        gateway = _page(gateway_page.GatewayPage(cluster.service), CONTENT_TYPE)
        return [
            Endpoint("kube-state-metrics", "", {}, kube),
            Endpoint("gateway", "", {"service": cluster.service.name}, gateway),
            Endpoint("kubernetes", "", {}, self.api.handle),
        ]

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.transport.get_extra_info("sockname") if request.transport is not None else None
        endpoint = self._by_port.get(name[1]) if name else None
        if endpoint is None:
            return web.Response(status=404)
        return await endpoint.respond(request)

    async def _reconcile(self) -> None:
        if self._server is None:
            return
        for endpoint in self.endpoints:
            wanted = endpoint.wanted() != "refuses"
            if wanted and not endpoint.listens:
                await endpoint.open(self._host, self._server)
            elif endpoint.listens and not wanted:
                endpoint.close()
                self._drop_connections(endpoint.port)

    def _drop_connections(self, port: int) -> None:
        for connection in self._server.connections if self._server is not None else ():
            transport = connection.transport
            if transport is not None and transport.get_extra_info("sockname")[1] == port:
                transport.abort()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_WAKE)
            now = loop.time()
            milliseconds = round((now - before) * 1000 * self.speed)
            before += milliseconds / 1000 / self.speed
            await self.tick(milliseconds)


def _report(driver: asyncio.Task[None]) -> None:
    if not driver.cancelled() and (error := driver.exception()):
        log.error("the simulation stands still: %s", error, exc_info=error)


def _page(page: _Renders, content_type: str) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return web.Response(status=404, text="404 page not found\n")
        return web.Response(body=page.render(), headers={"Content-Type": content_type})

    return handle


def _engine(
    replica: Replica, metrics: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response(status=replica.health())
        if request.path == "/version":
            return web.json_response({"version": "0.32.0"})
        return await metrics(request)

    return handle


def _exporter_state(node: Node) -> Callable[[], str]:
    return lambda: node.exporter if node.up else "hangs"


def _host_state(node: Node) -> Callable[[], str]:
    return lambda: "answers" if node.up else "hangs"


def _engine_state(replica: Replica) -> Callable[[], str]:
    def state() -> str:
        if not replica.node_up:
            return "hangs"
        return "answers" if replica.listens else "refuses"

    return state
