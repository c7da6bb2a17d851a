from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from simulator.cluster import Cluster
from simulator.serve import Faces

Make = Callable[..., Cluster]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


@pytest.fixture
async def faces(make_cluster: Make) -> AsyncIterator[Faces]:
    async with Faces(make_cluster(warm_up="10s"), drive=False) as faces:
        yield faces


async def get(client: aiohttp.ClientSession, url: str) -> tuple[int, str, str]:
    async with client.get(url) as response:
        return (
            response.status,
            response.headers.get("Content-Type", ""),
            await response.text(errors="replace"),
        )


async def test_every_target_answers_with_its_own_page(faces: Faces, client: aiohttp.ClientSession) -> None:
    targets = faces.targets()
    assert len({target.url for target in targets}) == len(targets) == 2 * 2 + 4 + 2
    first = {
        "dcgm": "DCGM_FI_DEV_SM_CLOCK",
        "node": "node_boot_time_seconds",
        "vllm": "vllm:num_requests_running",
        "kube-state-metrics": "kube_node_info",
        "gateway": "nginx_ingress_controller_requests",
    }
    for target in targets:
        status, content_type, body = await get(client, target.url)
        assert status == 200
        assert content_type.startswith(
            "text/plain; version=" + ("1.0.0" if target.job == "vllm" else "0.0.4")
        )
        assert first[target.job] in body
        if "pod" in target.labels:
            assert faces.cluster.replica(target.labels["pod"]).node == target.labels["node"]


async def test_the_engine_answers_its_other_paths(faces: Faces, client: aiohttp.ClientSession) -> None:
    url = faces.url("vllm")
    assert (await get(client, f"{url}/health"))[0] == 200
    assert "0.32" in (await get(client, f"{url}/version"))[2]
    assert (await get(client, f"{url}/nothing"))[0] == 404


async def test_an_exited_engine_refuses_and_answers_again_on_the_same_port(
    faces: Faces, client: aiohttp.ClientSession
) -> None:
    replica = faces.cluster.replicas[0]
    url = faces.url("vllm", replica.name)
    assert (await get(client, f"{url}/metrics"))[0] == 200  # leaves a connection open, which must die too
    replica.exit("Error")
    await faces.tick(100)
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(client, f"{url}/metrics")
    await faces.tick(120_000)
    assert faces.url("vllm", replica.name) == url
    assert (await get(client, f"{url}/health"))[0] == 200


async def test_a_zombie_still_says_that_it_is_healthy(faces: Faces, client: aiohttp.ClientSession) -> None:
    pod = faces.cluster.replicas[0].name
    faces.cluster.inject("S13", target=pod)
    await faces.tick(5_000)
    assert (await get(client, f"{faces.url('vllm', pod)}/health"))[0] == 200
    assert (await get(client, f"{faces.url('vllm', pod)}/metrics"))[0] == 200


async def test_a_crashed_exporter_takes_all_its_gpus_and_no_engine(
    faces: Faces, client: aiohttp.ClientSession
) -> None:
    node = faces.cluster.nodes[0]
    node.exporter = "refuses"
    await faces.tick(100)
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(client, f"{faces.url('dcgm', node.name)}/metrics")
    assert (await get(client, f"{faces.url('vllm')}/health"))[0] == 200


async def test_a_node_that_is_down_never_answers(faces: Faces, client: aiohttp.ClientSession) -> None:
    node = faces.cluster.nodes[0]
    faces.cluster.write(node, "up", False)
    await faces.tick(100)
    for job in ("dcgm", "node"):
        with pytest.raises(asyncio.TimeoutError):
            await client.get(f"{faces.url(job, node.name)}/metrics", timeout=aiohttp.ClientTimeout(total=0.1))
    assert (await get(client, f"{faces.url('node', faces.cluster.nodes[1].name)}/metrics"))[0] == 200


async def test_a_test_sets_what_an_endpoint_does(faces: Faces, client: aiohttp.ClientSession) -> None:
    endpoint, url = faces.endpoint("vllm"), f"{faces.url('vllm')}/metrics"
    endpoint.mode = "error"
    assert (await get(client, url))[0] == 500
    endpoint.mode = "garbage"
    status, _, body = await get(client, url)
    assert status == 200
    assert "not a metric" in body
    endpoint.mode = "refuses"
    await faces.tick(100)
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(client, url)
    endpoint.mode = None
    await faces.tick(100)
    assert (await get(client, url))[0] == 200
    with pytest.raises(KeyError):
        faces.endpoint("vllm", "nowhere")


async def test_stop_leaves_nothing_behind(make_cluster: Make, client: aiohttp.ClientSession) -> None:
    faces = Faces(make_cluster(warm_up="1s"))
    await faces.start()
    ports = [endpoint.port for endpoint in faces.endpoints]
    faces.endpoint("node").mode = "hangs"
    url, hanging_url = f"{faces.url('dcgm')}/metrics", f"{faces.url('node')}/metrics"
    hanging = asyncio.create_task(client.get(hanging_url))
    assert (await get(client, url))[0] == 200
    await faces.stop()
    await faces.stop()
    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past TIME_WAIT, not past a listener
            probe.bind(("127.0.0.1", port))
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(url)


async def test_time_runs_by_itself_at_the_speed_asked_for(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(warm_up="0s")
    start, loop, arrived, step = cluster.now, asyncio.get_running_loop(), asyncio.Event(), cluster.step

    def watched(milliseconds: int) -> None:
        step(milliseconds)
        if cluster.now >= start + 5_000:
            arrived.set()

    monkeypatch.setattr(cluster, "step", watched)
    async with Faces(cluster, speed=50.0):
        began = loop.time()
        await asyncio.wait_for(arrived.wait(), 5)
        assert 0.08 < loop.time() - began < 2.0  # 5 virtual seconds are due after 0.1


async def test_a_taken_host_is_an_error_and_leaves_nothing(make_cluster: Make) -> None:
    faces = Faces(make_cluster(warm_up="0s"), host="192.0.2.1")
    with pytest.raises(OSError, match=r".+"):
        await faces.start()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_model_that_fails_is_said_in_the_log(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, failed = make_cluster(warm_up="0s"), asyncio.Event()

    def fail(milliseconds: int) -> None:
        failed.set()
        raise RuntimeError("out of silicon")

    monkeypatch.setattr(cluster, "step", fail)
    async with Faces(cluster):
        await asyncio.wait_for(failed.wait(), 5)
    assert "the simulation stands still: out of silicon" in caplog.text
