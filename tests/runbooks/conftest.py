"""What the tests of runbooks share: a small node API, a kubeconfig for it, alerts, and a whole machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import RawTestServer

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
from simulator.cluster import Cluster
from simulator.node_api import AuditEntry, NodeApi
from simulator.node_document import MERGE
from simulator.settings import ClusterSettings
from store.database import Database
from store.durable import persist, restore

START = 1_800_000_000_000
Hook = Callable[[web.BaseRequest], Awaitable[web.Response | None]]


class Double:
    """The simulator's node API over real HTTP, with hooks before and after each request."""

    def __init__(self, nodes: int = 8) -> None:
        self.url = ""
        self.rebuild(nodes)

    def rebuild(self, nodes: int = 8) -> None:
        """Start again with fresh nodes: gpu-node-1 and so on."""
        settings = ClusterSettings.model_validate(
            {"nodes": nodes, "replicas_per_node": 0, "gpus_per_node": 8, "warm_up": "0s"}
        )
        self.kube = NodeApi(Cluster(settings))
        self.requests: list[dict[str, Any]] = []
        self.before: list[Hook] = []
        self.after: list[Hook] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        entry = {"method": request.method, "query": dict(request.query), "status": 0}
        if request.method == "PATCH":
            entry["body"] = await request.json()
        self.requests.append(entry)
        for hook in list(self.before):
            if (found := await hook(request)) is not None:
                entry["status"] = found.status
                return found
        response = await self.kube.handle(request)
        entry["status"] = response.status
        for hook in list(self.after):
            if (found := await hook(request)) is not None:
                return found
        return response

    def node(self, name: str) -> dict[str, Any]:
        """A node object."""
        return self.kube.store.node(name)

    def names(self) -> list[str]:
        """The nodes' names."""
        return [node["metadata"]["name"] for node in self.kube.store.nodes()]

    def touch(self, name: str, **spec: Any) -> None:
        """Someone else's write: a cordon, an uncordon (None) or a taint by kubectl."""
        owner = {"manager": "kubectl-cordon", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}
        metadata = {}
        if "unschedulable" in spec:
            metadata["managedFields"] = [owner] if spec["unschedulable"] else []
        patch = {"metadata": metadata, "spec": spec}
        self.kube.store.patch(name, patch, MERGE, status=False, dry_run=False, strict=True)

    def replace(self, name: str) -> None:
        """The node is deleted and another of its name joins."""
        self.kube.store._documents[name]["metadata"]["uid"] += "-replaced"

    def cordoned(self) -> list[str]:
        """Names of the nodes that take no pods."""
        nodes = self.kube.store.nodes()
        return sorted(node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable"))

    def writes(self, *, dry_run: bool = False) -> list[AuditEntry]:
        """Writes that were accepted."""
        return [entry for entry in self.kube.audit if entry.code == 200 and entry.dry_run == dry_run]

    def foreign_taints(self, name: str) -> set[str]:
        """Keys of the taints that are not the node controller's."""
        taints = self.node(name)["spec"].get("taints", [])
        return {taint["key"] for taint in taints if not taint["key"].startswith("node.kubernetes.io/")}


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
    base = {"alertname": "GpuLost", "tier": "P0", "Hostname": node, "UUID": f"GPU-{node}-3", "gpu": "3"}
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

    def __init__(self, api: Double, kubeconfig: Path, folder: Path, runbook: Runbook) -> None:
        self.api, self.folder, self.kubeconfig, self.runbook = api, folder, kubeconfig, runbook
        self.now = START
        self.query = Signs(XID, VANISHED)
        self.changes: dict[str, Any] = {"mode": "auto"}
        self.executor: Executor | None = None
        self.kube: KubeWriter | None = None
        self.boot()

    def settings(self) -> RunbookSettings:
        """The configuration as it is now: the changes over what every test has."""
        base = {
            "enabled": True,
            "kubeconfig": self.kubeconfig,
            "timeout": "300ms",
            "audit_file": self.folder / "audit.jsonl",
        }
        return RunbookSettings.model_validate({**base, **self.changes})

    def reload(self, **changes: Any) -> None:
        """The configuration changes while the process runs."""
        self.changes |= changes
        self.engine.reconfigure([self.runbook], self.settings())

    def boot(self) -> None:
        settings = self.settings()
        self.topology = Topology()
        for name in self.api.names():
            self.topology.observe(Entity("node", name), Entity("gpu", f"GPU-{name}-3"), self.now)
        self.database = Database(f"sqlite:///{self.folder / 'state.db'}")
        self.database.create(SCHEMA)
        self.engine = RunbookEngine([self.runbook], settings, self.topology)
        restore(self.database, [self.engine], self.now)
        connection = self.kube._connection if self.kube is not None else None
        self.kube = KubeWriter(settings, lambda: self.engine.paused)
        self.kube._connection = connection  # a new one takes 80 ms of TLS set-up
        self.audit = AuditLog(self.folder / "audit.jsonl")
        self.executor = Executor(self.kube, self.audit)

    def crash(self) -> None:
        """The process is gone and a new one starts: what was not on disk is lost."""
        self.leave()
        self.boot()

    def leave(self) -> None:
        """What the end of a process lets go of."""
        self.audit.close()
        self.database.close()

    async def close(self) -> None:
        self.leave()
        assert self.executor is not None
        await self.executor.close()

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
async def api() -> AsyncIterator[Double]:
    """A running node API with eight GPU nodes."""
    api = Double()
    server = RawTestServer(api.handle)
    await server.start_server()
    api.url = str(server.make_url("/"))
    yield api
    await server.close()


@pytest.fixture
def kubeconfig(api: Double, tmp_path: Path) -> Path:
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
async def machine(api: Double, kubeconfig: Path, tmp_path: Path, gpu_lost: Runbook) -> AsyncIterator[Machine]:
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
