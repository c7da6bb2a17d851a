"""What the tests of runbooks share: a small node API, a kubeconfig for it, alerts, and a whole machine."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from model.alert import Alert
from model.labels import Labels
from model.moment import SECOND
from model.topology import Entity, Topology
from runbooks.audit import AuditLog
from runbooks.cluster import ClusterView, NodeView
from runbooks.engine import RunbookEngine
from runbooks.executor import Executor
from runbooks.kubernetes import KubeWriter
from runbooks.library import shipped
from runbooks.model import Runbook, load_runbooks
from runbooks.records import SCHEMA
from runbooks.run import Intent, Result
from runbooks.settings import RunbookSettings
from store.database import Database
from store.durable import persist, restore

START = 1_800_000_000_000
Hook = Callable[[web.Request], Awaitable[web.Response | None]]


class NodeApi:
    """Nodes as a kube-apiserver keeps them: resourceVersion, UID, managedFields, merge patch, dry run."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self._version = itertools.count(100)

    def add(self, name: str, gpus: int = 8, *, ready: bool = True) -> None:
        capacity = {"nvidia.com/gpu": str(gpus)} if gpus else {}
        self.objects[name] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "uid": f"uid-{name}-{next(self._version)}",
                "resourceVersion": str(next(self._version)),
                "annotations": {"foreign/note": "kept"},
                "managedFields": [],
            },
            "spec": {},
            "status": {
                "capacity": capacity,
                "allocatable": dict(capacity),
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }

    def touch(self, name: str, **spec: Any) -> None:
        """Someone else's write: a cordon or a taint by kubectl."""
        self._apply(self.objects[name], {"spec": spec}, "kubectl-cordon")

    def lose_gpu(self, name: str) -> None:
        self.objects[name]["status"]["allocatable"]["nvidia.com/gpu"] = "7"

    def cordoned(self) -> list[str]:
        return sorted(name for name, node in self.objects.items() if node["spec"].get("unschedulable"))

    def writes(self, *, dry_run: bool = False) -> list[dict[str, Any]]:
        """Writes that were accepted."""
        return [
            entry
            for entry in self.requests
            if entry["method"] == "PATCH"
            and entry["status"] == 200
            and ("dryRun" in entry["query"]) == dry_run
        ]

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._hooks])
        app.router.add_get("/api/v1/nodes", self._list)
        app.router.add_patch("/api/v1/nodes/{name}", self._patch)
        return app

    @web.middleware
    async def _hooks(self, request: web.Request, handler: Any) -> web.StreamResponse:
        entry = {"method": request.method, "path": request.path, "query": dict(request.query), "status": 0}
        if request.method == "PATCH":
            entry["body"] = await request.json()
        self.requests.append(entry)
        for hook in list(self.before):
            if (found := await hook(request)) is not None:
                entry["status"] = found.status
                return found
        response: web.StreamResponse = await handler(request)
        entry["status"] = response.status
        for hook in list(self.after):
            if (found := await hook(request)) is not None:
                return found
        return response

    async def _list(self, request: web.Request) -> web.Response:
        items = sorted(self.objects.items())
        first, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 0)) or len(items)
        more = {"continue": str(first + limit)} if first + limit < len(items) else {}
        page = [node for _, node in items[first : first + limit]]
        return web.json_response({"kind": "NodeList", "apiVersion": "v1", "metadata": more, "items": page})

    async def _patch(self, request: web.Request) -> web.Response:
        name, patch = request.match_info["name"], await request.json()
        if request.headers["Content-Type"] != "application/merge-patch+json":
            return status(415, "the double speaks merge patches only")
        if name not in self.objects:
            return status(404, f'nodes "{name}" not found')
        if request.query.get("fieldValidation") != "Strict":
            return status(400, "every write must be validated strictly")
        if unknown := set(patch) - {"metadata", "spec"} | set(patch.get("spec", {})) - {
            "unschedulable",
            "taints",
        }:
            return status(422, f"unknown field {sorted(unknown)}")
        node, metadata = self.objects[name], patch.get("metadata", {})
        for key in ("uid", "resourceVersion"):
            if metadata.get(key, node["metadata"][key]) != node["metadata"][key]:
                return status(409, f"the object has been modified ({key})")
        changed = deepcopy(node) if "dryRun" in request.query else node
        self._apply(changed, patch, request.query.get("fieldManager", "unknown"))
        return web.json_response(changed)

    def _apply(self, node: dict[str, Any], patch: dict[str, Any], manager: str) -> None:
        before = node["spec"].get("unschedulable")
        merge(node, patch)
        if node["spec"].get("unschedulable") != before:
            owner = {
                "manager": manager,
                "operation": "Update",
                "fieldsV1": {"f:spec": {"f:unschedulable": {}}},
            }
            node["metadata"]["managedFields"] = [owner] if "unschedulable" in node["spec"] else []
        node["metadata"]["resourceVersion"] = str(next(self._version))


def merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.Response(status=code, text=json.dumps(body), content_type="application/json")


class Signs:
    """A query whose answers are set by a part of the expression."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[str] = []

    def __call__(self, expression: str) -> Any:
        self.asked.append(expression)
        return SimpleNamespace(values=[1.0 for text in self.texts if text in expression])


XID, VANISHED = "XID_ERRORS", "unless"


def alert(node: str, starts_at: int = START, /, **labels: str) -> Alert:
    base = {"alertname": "GPULost", "tier": "P0", "Hostname": node, "UUID": f"GPU-{node}-3", "gpu": "3"}
    return Alert(Labels({**base, **labels}), starts_at=starts_at)


def node_view(name: str, **changes: Any) -> NodeView:
    base: dict[str, Any] = {
        "uid": f"uid-{name}",
        "resource_version": "1",
        "gpu_capacity": 8,
        "gpu_allocatable": 8,
    }
    return NodeView(name=name, **{**base, **changes})


class Machine:
    """Engine, executor, store and audit log over a node API; `crash` starts a new process on its disk."""

    def __init__(self, api: NodeApi, kubeconfig: Path, folder: Path, runbook: Runbook) -> None:
        self.api, self.folder, self.kubeconfig, self.runbook = api, folder, kubeconfig, runbook
        self.now = START
        self.query = Signs(XID, VANISHED)
        self.mode = "auto"
        self.executor: Executor | None = None
        self.boot()

    def boot(self) -> None:
        settings = RunbookSettings.model_validate(
            {
                "enabled": True,
                "mode": self.mode,
                "kubeconfig": self.kubeconfig,
                "timeout": "300ms",
                "audit_file": self.folder / "audit.jsonl",
            }
        )
        self.topology = Topology()
        for name in self.api.objects:
            self.topology.observe(Entity("node", name), Entity("gpu", f"GPU-{name}-3"), self.now)
        self.database = Database(f"sqlite:///{self.folder / 'state.db'}")
        self.database.create(SCHEMA)
        self.engine = RunbookEngine([self.runbook], settings, self.topology)
        restore(self.database, [self.engine], self.now)
        self.kube = KubeWriter(settings, lambda: self.engine.paused)
        self.audit = AuditLog(self.folder / "audit.jsonl")
        self.executor = Executor(self.kube, self.audit)

    async def crash(self) -> None:
        await self.close()
        self.boot()

    async def close(self) -> None:
        if self.executor is not None:
            await self.executor.close()
            self.executor = None
        self.database.close()

    async def tick(self, alerts: Iterable[Alert], seconds: int = 1) -> list[Result]:
        """One second of the analyzer."""
        assert self.executor is not None
        self.now += seconds * SECOND
        alerts = list(alerts)
        view: ClusterView | None = None
        if self.engine.needs_view(alerts, self.now):
            view = await self.executor.view(self.now)
        intents = self.engine.step(self.now, alerts, self.query, view)
        if persist(self.database, [self.engine]):
            intents += self.engine.due(self.now)
        results = [await self._perform(intent) for intent in intents]
        self.engine.written(await self.executor.note(self.engine.entries))
        persist(self.database, [self.engine])
        return results

    async def _perform(self, intent: Intent) -> Result:
        assert self.executor is not None
        result = await self.executor.perform(intent)
        self.engine.record(result, self.now)
        return result

    async def ticks(self, count: int, alerts: Iterable[Alert], seconds: int = 1) -> list[Result]:
        alerts = list(alerts)
        return [result for _ in range(count) for result in await self.tick(alerts, seconds)]

    def sentence(self, node: str) -> str:
        return next(run.sentence for run in self.engine.runs() if run.node == node)

    def states(self) -> dict[str, str]:
        return {run.node: run.state.value for run in self.engine.runs()}


@pytest.fixture
def gpu_lost() -> Runbook:
    """The shipped runbook."""
    return next(runbook for runbook in load_runbooks([shipped()]) if runbook.name == "gpu-lost-cordon")


@pytest.fixture
async def api() -> AsyncIterator[NodeApi]:
    """A running node API with eight GPU nodes; `api.url` is where."""
    api = NodeApi()
    for number in range(8):
        api.add(f"node-{number}")
    server = TestServer(api.app())
    await server.start_server()
    api.url = str(server.make_url("/"))  # type: ignore[attr-defined]
    yield api
    await server.close()


@pytest.fixture
def kubeconfig(api: Any, tmp_path: Path) -> Path:
    """A kubeconfig for the node API."""
    path = tmp_path / "kubeconfig"
    config = {
        "current-context": "double",
        "clusters": [{"name": "double", "cluster": {"server": api.url}}],
        "users": [{"name": "fleetowl", "user": {"token": "not-a-secret"}}],
        "contexts": [{"name": "double", "context": {"cluster": "double", "user": "fleetowl"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
async def machine(api: Any, kubeconfig: Path, tmp_path: Path, gpu_lost: Runbook) -> AsyncIterator[Machine]:
    """A whole machine in mode auto."""
    machine = Machine(api, kubeconfig, tmp_path, gpu_lost)
    yield machine
    await machine.close()


@pytest.fixture
def make_alert() -> Callable[..., Alert]:
    """Builds alerts of a lost GPU: (node, starts_at, **labels)."""
    return alert


@pytest.fixture
def make_node() -> Callable[..., NodeView]:
    """Builds node views: (name, **changes)."""
    return node_view
