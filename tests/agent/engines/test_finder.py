"""Discovery: engines come and go with what is found, and what goes wrong is said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.engines.discovery_settings import DiscoverySettings, PodDiscoverySettings
from agent.engines.engine import Engine
from agent.engines.finder import Finder
from agent.engines.found import DiscoveryFailed, Findings, Found, Refused
from agent.engines.pod_discovery import PodDiscovery
from agent.engines.port_discovery import PortDiscovery
from agent.engines.settings import EngineSettings
from tests.agent.engines.conftest import Served
from tests.agent.engines.test_pod_list import pod


class Scripted:
    """A way to discover that finds what a test says."""

    kind = "pods"
    interval = 1000

    def __init__(self) -> None:
        self.now: Findings | Exception = Findings()

    async def look(self) -> Findings:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Watch:
    """The agent's engines."""

    def __init__(self) -> None:
        self.engines: list[Engine] = []

    def make(self, settings: EngineSettings, started: float | None) -> Engine:
        return Engine(settings, "n", 1000, _no_session, started=started)

    async def remove(self, engine: Engine) -> None:
        self.engines.remove(engine)
        await engine.close()

    def finder(self, *ways: Scripted, configured: tuple[EngineSettings, ...] = (), most: int = 64) -> Finder:
        return Finder(ways, configured, most, self.make, self.engines.append, self.remove)

    @property
    def names(self) -> list[str]:
        return [engine.settings.job for engine in self.engines]


def _no_session() -> aiohttp.ClientSession:
    raise AssertionError("plain HTTP needs none")


def _found(number: int, job: str = "", started: float | None = None) -> Found:
    settings = EngineSettings(job=job or f"e{number}", url=f"http://10.0.0.{number}:8000/metrics")
    return Found(("pod", number), settings, started)


def _said(finder: Finder) -> dict[str, float]:
    return {
        sample.name.removeprefix("fleetowl_engine_discover").lstrip("y_")
        + "".join(f" {value}" for name, value in sample.labels.items() if name != "kind"): sample.value
        for sample in finder.samples()
    }


async def test_engines_come_and_go() -> None:
    way, watch = Scripted(), Watch()
    finder = watch.finder(way)
    way.now = Findings((_found(1), _found(2)))
    await finder.look()
    first = list(watch.engines)
    await finder.look()
    assert watch.engines == first, "who is still there is not begun anew"
    way.now = Findings((_found(2), _found(3)))
    await finder.look()
    assert watch.names == ["e2", "e3"]
    assert watch.engines[0] is first[1]
    way.now = Findings((_found(2, "other"), _found(3)))
    await finder.look()
    assert sorted(watch.names) == ["e3", "other"], "what changed is another engine"
    assert _said(finder) == {"status ok": 1.0, "ed": 2.0}


async def test_what_was_found_stays_while_nothing_can_be_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    way, watch = Scripted(), Watch()
    finder = watch.finder(way)
    way.now = Findings((_found(1),))
    await finder.look()
    caplog.clear()
    for _ in range(3):
        way.now = DiscoveryFailed("unauthorized", "the kubelet answered 401")
        await finder.look()
    assert watch.names == ["e1"]
    assert _said(finder) == {"status unauthorized failed": 1.0, "ed": 1.0}
    way.now = Findings((_found(1),))
    await finder.look()
    assert [record.getMessage() for record in caplog.records] == [
        "the discovery of engines by pods is failed: the kubelet answered 401",
        "the discovery of engines by pods works again",
    ]


async def test_a_fault_of_ours_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    way, watch = Scripted(), Watch()
    finder = watch.finder(way)
    for _ in range(2):
        way.now = RuntimeError("a bug")
        await finder.look()
    assert _said(finder) == {"status internal failed": 1.0, "ed": 0.0}
    assert len(caplog.records) == 1
    way.now = Findings((_found(1),))
    await finder.look()
    assert watch.names == ["e1"]


async def test_no_more_than_so_many_and_those_watched_stay(caplog: pytest.LogCaptureFixture) -> None:
    way, watch = Scripted(), Watch()
    finder = watch.finder(way, most=3)
    way.now = Findings(tuple(_found(number) for number in (5, 6, 7)))
    await finder.look()
    way.now = Findings(tuple(_found(number) for number in range(1, 10)))
    for _ in range(2):
        await finder.look()
    assert watch.names == ["e5", "e6", "e7"]
    assert _said(finder) == {"status max_engines limited": 1.0, "ed": 3.0, "refused max_engines": 6.0}
    assert len(caplog.records) == 1


async def test_what_is_configured_is_not_watched_twice() -> None:
    way, watch = Scripted(), Watch()
    same_name = EngineSettings(job="e2", url="http://127.0.0.1:1/metrics", instance="10.0.0.2:8000")
    finder = watch.finder(way, configured=(_found(1).settings, same_name))
    way.now = Findings((_found(1), _found(2), _found(3)))
    await finder.look()
    assert watch.names == ["e3"]
    assert _said(finder)["refused duplicate"] == 1.0


async def test_two_ways_share_the_room_and_the_names() -> None:
    one, other, watch = Scripted(), Scripted(), Watch()
    other.kind = "ports"
    finder = watch.finder(one, other, most=3)
    one.now = Findings((_found(1), _found(2)))
    other.now = Findings((_found(2), _found(3), _found(4)))
    await finder.look()
    assert watch.names == ["e1", "e2", "e3"]


async def test_refused_ones_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    way, watch = Scripted(), Watch()
    finder = watch.finder(way)
    way.now = Findings((), (Refused("llm/a", "no_port", "it declares 2 ports: annotate prometheus.io/port"),))
    for _ in range(2):
        await finder.look()
    assert _said(finder) == {"status ok": 1.0, "ed": 0.0, "refused no_port": 1.0}
    (record,) = caplog.records
    assert record.getMessage() == (
        "llm/a is not watched as an engine: it declares 2 ports: annotate prometheus.io/port"
    )


async def test_a_container_that_begins_again_tells_its_engine() -> None:
    way, watch = Scripted(), Watch()
    finder = watch.finder(way)
    for started in (100.0, 100.0, 200.0):
        way.now = Findings((_found(1, started=started),))
        await finder.look()
    (engine,) = watch.engines
    engine.start.ready(230.0)
    found = {sample.name: sample.value for sample in engine.start.samples(999, "")}
    assert found["fleetowl_engine_cold_start_seconds"] == 30.0


async def test_one_that_cannot_be_built_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    way, watch = Scripted(), Watch()
    build = watch.make

    def make(settings: EngineSettings, started: float | None) -> Engine:
        if settings.job == "e1":
            raise ValueError("no such engine")
        return build(settings, started)

    finder = Finder([way], (), 64, make, watch.engines.append, watch.remove)
    way.now = Findings((_found(1), _found(2)))
    for _ in range(2):
        await finder.look()
    assert watch.names == ["e2"]
    assert _said(finder) == {"status ok": 1.0, "ed": 1.0, "refused invalid": 1.0}
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "http://10.0.0.1:8000/metrics is not watched as an engine" in record.getMessage()
    assert "no such engine" in record.getMessage()


async def test_it_looks_again_and_again() -> None:
    way, watch = Scripted(), Watch()
    way.interval = 1
    finder = watch.finder(way)
    finder.start()
    async with asyncio.timeout(2):
        for count in (1, 2):
            way.now = Findings(tuple(_found(number) for number in range(1, count + 1)))
            while len(watch.engines) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    await finder.close()


# The kubelet.


def _kubelet(
    session: aiohttp.ClientSession, server: Served, token: Path | None = None, **more: object
) -> PodDiscovery:
    values = {"enabled": True, "url": f"{server.origin}/pods", "token_file": token, **more}
    return PodDiscovery(PodDiscoverySettings.model_validate(values), lambda: session)


async def test_the_kubelet_is_asked_with_the_token(
    engine_server: Served, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    kubelet = _kubelet(session, engine_server, token)
    with pytest.raises(DiscoveryFailed, match="No such file"):
        await kubelet.look()
    engine_server.say("/pods", json.dumps({"items": [pod()]}))
    for word in ("one", "two"):
        token.write_text(word)
        findings = await kubelet.look()
        assert engine_server.requests[-1].headers["Authorization"] == f"Bearer {word}"
        assert [found.settings.job for found in findings.engines] == ["llama"]


async def _hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


def _answers(body: str, status: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status)

    return answer


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (_answers("Unauthorized", 401), "unauthorized"),
        (_answers("Forbidden", 403), "forbidden"),
        (_answers("", 500), "status"),
        (_answers("garbage"), "malformed"),
        (_answers("x" * 5000), "too_large"),
        (_hang, "timeout"),
    ],
)
async def test_a_kubelet_that_tells_nothing(
    engine_server: Served,
    session: aiohttp.ClientSession,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    kind: str,
) -> None:
    engine_server.handlers["/pods"] = handler
    kubelet = _kubelet(session, engine_server, timeout="30ms", body_size_limit="1KB")
    with pytest.raises(DiscoveryFailed) as caught:
        await kubelet.look()
    assert caught.value.kind == kind
    assert engine_server.origin in str(caught.value)


# Ports.


async def test_engines_at_ports(
    engine_server: Served, session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    port = int(engine_server.origin.rpartition(":")[2])
    settings = DiscoverySettings.model_validate({"ports": [port, unused_tcp_port]})
    now = [0.0]
    ports = PortDiscovery(settings, "gpu-7", lambda: session, lambda: now[0])
    engine_server.say("/metrics", "node_load1 1\n")
    findings = await ports.look()
    assert not findings.engines
    assert [refused.reason for refused in findings.refused] == ["no_engine"]
    engine_server.say("/metrics", "vllm:num_requests_running 1\n")
    (found,) = (await ports.look()).engines
    assert (found.settings.job, found.settings.instance) == ("vllm", f"gpu-7:{port}")
    assert found.settings.url == f"http://127.0.0.1:{port}/metrics"
    engine_server.say("/metrics", status=503)
    now[0] = 3000
    assert (await ports.look()).engines == (found,), "while it restarts it is missed, not forgotten"
    now[0] = 4000
    assert not (await ports.look()).engines
