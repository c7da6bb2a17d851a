"""What of incidents outlives the process, and that a state of the first version opens."""

from __future__ import annotations

import json

from sqlalchemy import text

from alertmanager.notification import Delivery, Notification
from incidents.incident import Incident
from incidents.tables import SCHEMA
from model.alert import Tier
from model.labels import Labels
from store.database import Database, Schema
from store.durable import persist
from tests.incidents.faults import node, say
from tests.incidents.house import House
from tests.incidents.scene import T0, Scene

FIRST = {
    "id": "INC-20261120-0001",
    "title": "GpuLost on GPU 0 of n0",
    "state": "open",
    "tier": "P1",
    "opened_at": T0,
    "changed_at": T0,
    "resolved_at": None,
    "root": "00000000000000aa",
    "reach": {"node": 1},
    "members": [
        {
            "fingerprint": "00000000000000aa",
            "labels": {"alertname": "GpuLost", "Hostname": "n0", "UUID": "GPU-0-0", "gpu": "0", "tier": "P1"},
            "annotations": {"summary": "lost"},
            "entities": [["gpu", "GPU-0-0"], ["node", "n0"]],
            "starts_at": T0,
            "ends_at": None,
            "joined_at": T0,
            "why": "it opened the incident",
            "generator_url": "",
            "explained": False,
        }
    ],
}


def test_a_state_of_the_first_version_opens() -> None:
    database = Database("sqlite://")
    database.create(Schema("incidents", 1, SCHEMA.metadata))
    with database.transaction() as tx:
        tx.execute(text("DROP TABLE incident_members"))
        tx.execute(
            text("INSERT INTO incidents VALUES (:id, :at, NULL, :document)"),
            {"id": FIRST["id"], "at": T0, "document": json.dumps(FIRST)},
        )
    assert "moved from version 1 to version 3" in database.create(SCHEMA)
    scene = Scene()
    scene.database = database
    scene.restart()
    [incident] = scene.incidents.ordered()
    assert incident.title == "GpuLost on GPU 0 of n0"
    scene.fire("EngineGone", "P1", pod="vllm-0")
    assert scene.step(5) == {"EngineGone": "INC-20261120-0001"} or "EngineGone" in scene.step(5)
    scene.restart()
    assert scene.incidents.get("INC-20261120-0001") is not None


def test_only_what_changed_of_many_members_is_written() -> None:
    scene = Scene(seen=[])
    scene.fire("NodeDown", "P1", node="n0")
    for number in range(100):
        scene.fire("VllmDown", "P1", pod=f"p{number}", node="n0")
    scene.step()
    written: list[int] = []
    upsert = scene.incidents._archive._members.save

    def counted(tx: object, is_told: object) -> None:
        written.append(len(scene.incidents._archive._members._changed))
        upsert(tx, is_told)  # type: ignore[arg-type]

    scene.incidents._archive._members.save = counted  # type: ignore[method-assign]
    scene.firing = {
        labels: alert for labels, alert in scene.firing.items() if labels["alertname"] != "NodeDown"
    }
    scene.end("VllmDown")
    scene.step(5)
    assert written == [100]
    scene.step(1)
    assert written == [100] or written[-1] < 100


def test_a_merged_incident_and_what_was_told_outlive_a_restart() -> None:
    document = Incident("INC-1", T0, T0, Tier.P1, merged_into="INC-0", words="NodeDown on node/n1").document()
    again = Incident.of_document(document)
    assert (again.state, again.title, again.merged_into) == ("merged", "NodeDown on node/n1", "INC-0")
    signs = [
        say("leaf", "NodeDown", "critical", 10, 300, **node(0)),
        say("leaf", "NodeDown", "critical", 40, 300, **node(1)),
        say("leaf", "SwitchDown", "critical", 90, 300, switch="leaf-0", rack="r0"),
    ]
    house = House().play(signs, until=100)
    merged = next(one for one in house.incidents.ordered(everything=True) if one.merged_into)
    kept = Incident.of_document(merged.row())
    assert kept.root.title == "NodeDown on node/n1"
    first = next(one for one in house.incidents.ordered())
    member = next(iter(first.told_members.values()))
    assert type(member).of_document(member.document()).told


def test_that_people_were_told_is_written_without_the_member_and_outlives_a_restart() -> None:
    scene = Scene(seen=[])
    scene.fire("NodeDown", "P1", node="n0")
    scene.fire("VllmDown", "P1", pod="p0", node="n0")
    scene.step()

    def told(*names: str) -> list[str]:
        alerts = scene.incidents.step(scene.now, list(scene.firing.values()))
        told_of = tuple(alert for alert in alerts if alert.name in names)
        keys = frozenset(alert.fingerprint for alert in told_of)
        delivery = Delivery("group", "hook", "webhook")
        notification = Notification(
            delivery, Labels(), told_of, keys, frozenset(), at=scene.now, sequence=1, dedup_key="1"
        )
        scene.incidents.telling.decided(notification, scene.now)
        assert scene.incidents._archive._members._changed == {}
        persist(scene.database, [scene.incidents])
        scene.restart()
        [incident] = scene.incidents.ordered()
        assert incident.told is Tier.P1
        return [member.name for member in incident.members.values() if member.told]

    assert told("NodeDown") == ["NodeDown"]
    assert sorted(told("NodeDown", "VllmDown")) == ["NodeDown", "VllmDown"]


def test_many_that_end_at_once_are_one_entry_of_the_timeline() -> None:
    scene = Scene(seen=[])
    scene.fire("NodeDown", "P1", node="n0")
    for number in range(4):
        scene.fire("VllmDown", "P1", pod=f"p{number}", node="n0")
    scene.step()
    scene.end("VllmDown")
    scene.step(5)
    scene.end("NodeDown")
    scene.step(5)
    [incident] = scene.ids
    ended = [entry.sentence for entry in scene.incidents.timeline(incident) if entry.kind == "ended"]
    assert ended == ["4 alerts ended: 4 x VllmDown", "NodeDown on node/n0 ended after 5s"]
