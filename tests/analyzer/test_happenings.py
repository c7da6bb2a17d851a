"""Events of agents find the incidents that they belong to, whichever comes first."""

from __future__ import annotations

from analyzer.happenings import REMEMBERED, Happenings
from incidents.correlation import Incidents
from incidents.settings import IncidentSettings
from model.alert import Alert
from model.labels import Labels
from model.moment import MINUTE, SECOND
from model.topology import Topology
from telemetry.event_log import EventLog, ReceivedEvent
from wire.event import EventRecord

T0 = 1_795_000_000_000
LOST = Alert(Labels({"alertname": "GpuLost", "node": "n1", "gpu": "3", "UUID": "GPU-3", "tier": "P0"}))


def happened(at: int, node: str = "n1") -> ReceivedEvent:
    return ReceivedEvent(node, at, EventRecord("xid", {"gpu": "3", "xid": "79"}, 79.0, at, "XID 79: gone"))


def sentences(incidents: Incidents) -> list[str]:
    return [
        entry.sentence
        for incident in incidents.ordered()
        for entry in incidents.timeline(incident.id)
        if entry.kind == "event"
    ]


def test_an_event_before_and_one_after_the_incident_opened_are_told_once() -> None:
    log, incidents = EventLog(), Incidents(IncidentSettings(), Topology())
    happenings = Happenings(log, incidents)
    log.add(happened(T0))
    log.add(happened(T0, "n2"))
    happenings.step(T0)
    incidents.step(T0 + SECOND, [LOST])
    for second in range(1, 5):
        happenings.step(T0 + second * SECOND)
    log.add(happened(T0 + MINUTE))
    happenings.step(T0 + MINUTE)
    assert sentences(incidents) == ["xid on n1, GPU 3: XID 79: gone"] * 2


def test_an_old_event_belongs_to_no_later_incident() -> None:
    log, incidents = EventLog(), Incidents(IncidentSettings(), Topology())
    happenings = Happenings(log, incidents)
    log.add(happened(T0))
    happenings.step(T0)
    incidents.step(T0 + REMEMBERED + SECOND, [LOST])
    happenings.step(T0 + REMEMBERED + SECOND)
    assert sentences(incidents) == []
