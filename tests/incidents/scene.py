"""A small cluster, and incidents over it on a virtual clock."""

from __future__ import annotations

from incidents.correlation import Incidents
from incidents.settings import IncidentSettings
from incidents.tables import SCHEMA
from incidents.topology_feed import TopologyFeed
from model.alert import Alert
from model.labels import Labels
from model.topology import Topology
from store.database import Database
from store.durable import persist, restore

T0 = 1_795_132_800_000  # 2026-11-20T00:00:00Z
MINUTE = 60_000


def settings_of(**values: object) -> IncidentSettings:
    return IncidentSettings.model_validate(values)


def series(name: str, **labels: str) -> Labels:
    return Labels({"__name__": name, **labels})


def cluster(nodes: int = 3) -> list[Labels]:
    """Per node: two GPUs that carry one pod; every pod serves the model `llama`."""
    found = []
    for node in range(nodes):
        pod = f"vllm-{node}"
        found.append(series("kube_pod_info", node=f"n{node}", pod=pod, namespace="serving"))
        for gpu in range(2):
            uuid = f"GPU-{node}-{gpu}"
            found.append(
                series("DCGM_FI_DEV_GPU_TEMP", Hostname=f"n{node}", gpu=str(gpu), UUID=uuid, pod=pod)
            )
        found.append(
            series(
                "vllm:num_requests_running",
                pod=pod,
                instance=f"10.0.0.{node}:8000",
                engine="0",
                model_name="llama",
            )
        )
    return found


class Scene:
    """Incidents over a cluster; alerts keep firing until they are ended."""

    def __init__(
        self,
        settings: IncidentSettings | None = None,
        seen: list[Labels] | None = None,
        explains: dict[str, list[str]] | None = None,
    ) -> None:
        self.explains = explains
        self.settings = settings or IncidentSettings()
        self.database = Database("sqlite://")
        self.database.create(SCHEMA)
        self.now = T0
        self.firing: dict[Labels, Alert] = {}
        self.ended: list[Alert] = []
        self._start()
        self.feed.observe_all(cluster() if seen is None else seen, T0)

    def _start(self) -> None:
        self.topology = Topology(self.settings.topology_retention)
        self.feed = TopologyFeed(self.topology)
        self.incidents = Incidents(self.settings, self.topology, self.explains)

    def fire(self, name: str, tier: str = "P2", **labels: str) -> None:
        whole = Labels({"alertname": name, "tier": tier, **labels})
        self.firing[whole] = Alert(whole, {"summary": f"{name} happened"}, self.now)

    def end(self, name: str) -> None:
        for labels in [labels for labels in self.firing if labels["alertname"] == name]:
            alert = self.firing.pop(labels)
            self.ended.append(Alert(labels, alert.annotations, alert.starts_at, self.now))

    def step(self, seconds: int = 0) -> dict[str, str]:
        """One step, `seconds` later; the incident of each alert by the alert's name."""
        self.now += seconds * 1000
        alerts = [*self.firing.values(), *self.ended]
        self.ended = []
        placed = self.incidents.step(self.now, alerts)
        assert [alert.labels for alert in placed] == [alert.labels for alert in alerts]
        persist(self.database, [self.incidents, self.feed])
        return {alert.name: alert.incident for alert in placed}

    def restart(self) -> None:
        self._start()
        restore(self.database, [self.incidents, self.feed], self.now)

    @property
    def ids(self) -> list[str]:
        return sorted(incident.id for incident in self.incidents.ordered())

    def kinds(self, incident: str) -> list[str]:
        return [entry.kind for entry in self.incidents.timeline(incident)]
