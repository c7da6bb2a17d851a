from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.config.models import Cluster as Server
from lightkube.config.models import User
from lightkube.resources.core_v1 import Node, NodeStatus, Pod
from lightkube.types import PatchType

from simulator.cluster import Cluster
from simulator.serve import Faces

Make = Callable[..., Cluster]

Client = Any  # lightkube's AsyncClient; every field of its models may be None to mypy
MERGE, STRATEGIC = PatchType.MERGE, PatchType.STRATEGIC


@pytest.fixture
async def faces(make_cluster: Make) -> AsyncIterator[Faces]:
    async with Faces(make_cluster(warm_up="2s"), drive=False) as faces:
        yield faces


@pytest.fixture
async def client(faces: Faces) -> AsyncIterator[Client]:
    config = KubeConfig.from_one(cluster=Server(server=faces.kubernetes_url), user=User(token="any"))
    client = AsyncClient(config=config, trust_env=False)
    yield client
    await client.close()


@pytest.fixture
def name(faces: Faces) -> str:
    return faces.cluster.nodes[0].name


async def code_of(call: Any) -> int:
    with pytest.raises(ApiError) as caught:
        await call
    return int(caught.value.status.code or 0)


async def patch(
    faces: Faces, name: str, body: object, query: str = "", kind: str = "merge-patch"
) -> tuple[int, Any, Any]:
    """A PATCH without a client's courtesies: status, body, Warning header."""
    headers = {"Content-Type": f"application/{kind}+json"}
    url = f"{faces.kubernetes_url}/api/v1/nodes/{name}{query}"
    async with aiohttp.ClientSession() as session, session.patch(url, json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers.getall("Warning", [])


async def test_a_fenced_cordon_reaches_the_cluster(faces: Faces, client: Client, name: str) -> None:
    node = await client.get(Node, name)
    version = node.metadata.resourceVersion
    body = {"metadata": {"resourceVersion": version}, "spec": {"unschedulable": True}}
    done = await client.patch(Node, name, body, patch_type=MERGE)
    assert done.spec.unschedulable is True
    assert int(done.metadata.resourceVersion) > int(version)
    assert faces.cluster.node(name).cordoned
    assert await code_of(client.patch(Node, name, body, patch_type=MERGE)) == 409
    assert [(entry.method, entry.code, entry.dry_run) for entry in faces.api.audit] == [
        ("PATCH", 200, False),
        ("PATCH", 409, False),
    ]


async def test_the_taint_of_a_cordon_follows_and_moves_the_version(
    faces: Faces, client: Client, name: str
) -> None:
    """The node controller writes too: a version kept from the answer of one's own PATCH is already old."""
    done = await client.patch(Node, name, {"spec": {"unschedulable": True}}, patch_type=MERGE)
    node = await client.get(Node, name)
    assert [taint.key for taint in node.spec.taints] == ["node.kubernetes.io/unschedulable"]
    assert int(node.metadata.resourceVersion) > int(done.metadata.resourceVersion)
    await client.patch(Node, name, {"spec": {"unschedulable": None}}, patch_type=MERGE)
    node = await client.get(Node, name)
    assert not node.spec.taints
    assert not node.spec.unschedulable
    assert not faces.cluster.node(name).cordoned


async def test_what_the_cluster_does_shows_in_the_api(faces: Faces, client: Client, name: str) -> None:
    before = await client.get(Node, name)
    faces.cluster.cordon(name)
    faces.cluster.inject("G01", target=faces.cluster.node(name).gpus[0].uuid)
    await faces.tick(2_000)
    after = await client.get(Node, name)
    assert after.spec.unschedulable
    assert after.metadata.resourceVersion != before.metadata.resourceVersion
    await faces.tick(20_000)
    allocatable = (await client.get(Node, name)).status.allocatable
    assert allocatable["nvidia.com/gpu"] in ("7", "8")
    assert (await client.get(Node, name)).status.capacity["nvidia.com/gpu"] == "8"


async def test_an_unchanged_patch_keeps_the_version(client: Client, name: str) -> None:
    before = await client.get(Node, name)
    body = {"metadata": {"labels": {"kubernetes.io/hostname": name}}}
    after = await client.patch(Node, name, body, patch_type=MERGE)
    assert after.metadata.resourceVersion == before.metadata.resourceVersion


async def test_a_dry_run_stores_nothing(faces: Faces, client: Client, name: str) -> None:
    before = await client.get(Node, name)
    body = {"spec": {"unschedulable": True}}
    done = await client.patch(Node, name, body, patch_type=MERGE, dry_run=True)
    assert done.spec.unschedulable is True
    assert await client.get(Node, name) == before
    assert not faces.cluster.node(name).cordoned
    assert [entry.dry_run for entry in faces.api.audit] == [True]
    stale = {"metadata": {"resourceVersion": "1"}, **body}
    assert await code_of(client.patch(Node, name, stale, patch_type=MERGE, dry_run=True)) == 409


async def test_taints_are_one_atomic_list_in_every_patch(client: Client, name: str) -> None:
    for kind in (MERGE, STRATEGIC):
        for key in ("first", "second"):
            taint = {"key": f"example.com/{key}", "effect": "NoSchedule"}
            await client.patch(Node, name, {"spec": {"taints": [taint]}}, patch_type=kind)
        node = await client.get(Node, name)
        assert [taint.key for taint in node.spec.taints] == ["example.com/second"]


async def test_a_taint_twice_is_invalid(client: Client, name: str) -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    body = {"spec": {"taints": [taint, {**taint, "value": "other"}]}}
    assert await code_of(client.patch(Node, name, body, patch_type=MERGE)) == 422
    body = {"spec": {"taints": [{"key": "a", "effect": "Never"}]}}
    assert await code_of(client.patch(Node, name, body, patch_type=MERGE)) == 422


async def test_a_strategic_patch_keeps_the_other_conditions(client: Client, name: str) -> None:
    body = {"status": {"conditions": [{"type": "GpuUnhealthy", "status": "True", "reason": "Xid79"}]}}
    await client.patch(NodeStatus, name, body, patch_type=STRATEGIC)
    conditions = {entry.type: entry.status for entry in (await client.get(Node, name)).status.conditions}
    assert conditions["GpuUnhealthy"] == "True"
    assert conditions["Ready"] == "True"


async def test_a_merge_patch_wipes_the_other_conditions(client: Client, name: str) -> None:
    body = {"status": {"conditions": [{"type": "GpuUnhealthy", "status": "True"}]}}
    await client.patch(NodeStatus, name, body, patch_type=MERGE)
    conditions = {entry.type: entry.status for entry in (await client.get(Node, name)).status.conditions}
    assert conditions == {"GpuUnhealthy": "True", "Ready": "Unknown"}


async def test_the_main_resource_ignores_the_status_without_a_word(client: Client, name: str) -> None:
    body = {"status": {"conditions": [{"type": "GpuUnhealthy", "status": "True"}]}}
    before = await client.get(Node, name)
    assert await client.patch(Node, name, body, patch_type=STRATEGIC) == before
    status_only = {"spec": {"unschedulable": True}}
    await client.patch(NodeStatus, name, status_only, patch_type=MERGE)
    assert not (await client.get(Node, name)).spec.unschedulable


async def test_unknown_fields_are_dropped_with_a_warning_or_refused_when_strict(
    faces: Faces, name: str
) -> None:
    body = {"spec": {"unscheduleable": True}, "status": {}}
    status, document, warnings = await patch(faces, name, body)
    assert status == 200
    assert "unscheduleable" not in document["spec"]
    assert warnings == ['299 - "unknown field \\"spec.unscheduleable\\""']
    status, document, _ = await patch(faces, name, body, "?fieldValidation=Strict")
    assert status == 422
    assert 'unknown field "spec.unscheduleable"' in document["message"]
    assert document["reason"] == "Invalid"


async def test_a_json_patch_works_and_its_failed_test_is_not_a_conflict(faces: Faces, name: str) -> None:
    version = faces.api.store.node(name)["metadata"]["resourceVersion"]
    guard = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    change = {"op": "add", "path": "/metadata/annotations/example.com~1owner", "value": "me"}
    status, document, _ = await patch(faces, name, [guard, change], kind="json-patch")
    assert status == 200
    assert document["metadata"]["annotations"] == {"example.com/owner": "me"}
    assert (await patch(faces, name, [guard, change], kind="json-patch"))[0] == 422
    missing = [{"op": "remove", "path": "/metadata/annotations/none"}]
    assert (await patch(faces, name, missing, kind="json-patch"))[0] == 422


@pytest.mark.parametrize(
    ("body", "query", "kind", "code"),
    [
        ({"metadata": {"uid": "other"}}, "", "merge-patch", 409),
        ({"metadata": {"name": "other"}}, "", "merge-patch", 400),
        ({"spec": {"unschedulable": "yes"}}, "", "merge-patch", 400),
        ({"metadata": {"annotations": {"a": 1}}}, "", "merge-patch", 400),
        ({}, "?dryRun=Some", "merge-patch", 422),
        ([1], "", "merge-patch", 400),
        ({}, "", "json-patch", 400),
        ({}, "", "apply-patch", 415),
    ],
)
async def test_a_wrong_patch_is_refused(
    faces: Faces, name: str, body: object, query: str, kind: str, code: int
) -> None:
    before = faces.api.store.nodes()
    status, document, _ = await patch(faces, name, body, query, kind)
    assert (status, document["code"], document["kind"]) == (code, code, "Status")
    assert faces.api.store.nodes() == before


async def test_what_is_not_there_is_not_found(faces: Faces, client: Client) -> None:
    assert await code_of(client.get(Node, "nowhere")) == 404
    assert await code_of(client.patch(Node, "nowhere", {"spec": {}}, patch_type=MERGE)) == 404
    assert await code_of(client.get(Pod, "nowhere", namespace="serving")) == 404


async def test_lists_carry_a_version_and_obey_selectors(faces: Faces, client: Client, name: str) -> None:
    nodes = [node async for node in client.list(Node)]
    assert [node.metadata.name for node in nodes] == [node.name for node in faces.cluster.nodes]
    assert [
        node.metadata.name async for node in client.list(Node, labels={"kubernetes.io/hostname": name})
    ] == [name]
    listing = client.list(Node)
    _ = [node async for node in listing]
    assert listing.resourceVersion == faces.api.store.version


async def test_pods_are_found_by_their_node(faces: Faces, client: Client, name: str) -> None:
    pods = [pod async for pod in client.list(Pod, namespace="*", fields={"spec.nodeName": name})]
    expected = [replica.name for replica in faces.cluster.replicas_on(name)]
    assert [pod.metadata.name for pod in pods] == expected
    assert all(pod.spec.nodeName == name for pod in pods)
    pod = await client.get(Pod, expected[0], namespace="serving")
    assert pod.status.containerStatuses[0].restartCount == 0
    assert [pod async for pod in client.list(Pod, namespace="other")] == []
    labels = {"app": "chat"}
    assert len([pod async for pod in client.list(Pod, namespace="serving", labels=labels)]) == 4


async def test_planned_trouble_comes_once(faces: Faces, client: Client, name: str) -> None:
    faces.api.fail_next(503, "PATCH")
    await client.get(Node, name)
    body = {"spec": {"unschedulable": True}}
    assert await code_of(client.patch(Node, name, body, patch_type=MERGE)) == 503
    assert not faces.cluster.node(name).cordoned
    faces.api.hang_next("GET")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.get(Node, name), 0.1)
    faces.api.lose_answer_next()
    with pytest.raises(aiohttp.ClientError):
        await patch(faces, name, body)
    assert faces.cluster.node(name).cordoned  # it happened, though nobody was told
    assert [entry.code for entry in faces.api.audit] == [503, 200]


async def test_a_token_is_asked_for_where_one_is_set(make_cluster: Make) -> None:
    async with Faces(make_cluster(warm_up="0s"), drive=False, token="s3cret") as faces:
        url = f"{faces.kubernetes_url}/api/v1/nodes"
        async with aiohttp.ClientSession() as session:
            for header, expected in (("", 401), ("Bearer wrong", 401), ("Bearer s3cret", 200)):
                async with session.get(url, headers={"Authorization": header}) as response:
                    assert response.status == expected
