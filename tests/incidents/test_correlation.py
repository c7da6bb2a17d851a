from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.settings import IncidentSettings
from model.alert import Tier
from model.labels import Labels
from model.moment import format_moment
from tests.incidents.scene import MINUTE, T0, Scene, series, settings_of

ONE = "INC-20261120-0001"
TWO = "INC-20261120-0002"


def gpu_lost(scene: Scene, node: int = 0) -> None:
    scene.fire("GpuLost", "P1", Hostname=f"n{node}", gpu="0", UUID=f"GPU-{node}-0")


def test_a_lost_gpu_and_what_it_does_are_one_incident() -> None:
    scene = Scene()
    gpu_lost(scene)
    assert scene.step() == {"GpuLost": ONE}
    scene.fire("NodeGpusMissing", "P1", node="n0")
    scene.fire("EngineGone", "P1", instance="10.0.0.0:8000", job="vllm", pod="vllm-0")
    scene.step(5)
    scene.fire("ServiceErrorRate", "P0", model_name="llama")
    assert set(scene.step(30).values()) == {ONE}
    [incident] = scene.incidents.ordered()
    assert incident.root.name == "GpuLost"
    assert incident.tier is Tier.P0
    assert incident.reach == {"node": 1, "gpu": 2, "replica": 1, "service": 1}
    assert scene.kinds(ONE) == ["opened", "joined", "joined", "joined", "tier"]
    whys = {member.name: member.why for member in incident.members.values()}
    assert whys["EngineGone"] == (
        "GpuLost on GPU 0 of n0 explains it (named in its rules): replica/vllm-0 stands on gpu/GPU-0-0"
    )
    assert whys["ServiceErrorRate"] == (
        "GpuLost on GPU 0 of n0 explains it (inferred: a loss explains a symptom): "
        "service/llama is served by 3 replicas, of which 1 stand on such"
    )


def test_all_in_one_tick_and_in_any_order_is_the_same() -> None:
    scene = Scene()
    scene.fire("ServiceErrorRate", "P0", model_name="llama")
    scene.fire("EngineGone", "P1", instance="10.0.0.0:8000", job="vllm", pod="vllm-0")
    scene.fire("NodeGpusMissing", "P1", node="n0")
    gpu_lost(scene)
    assert set(scene.step().values()) == {ONE}
    assert scene.incidents.ordered()[0].root.name == "GpuLost"


def test_an_engine_known_by_its_instance_alone_is_found_through_its_pod() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    scene.fire("EngineStalled", "P1", instance="10.0.0.0:8000", engine="0", model_name="llama")
    assert set(scene.step(5).values()) == {ONE}


def test_without_a_known_relation_they_are_separate() -> None:
    scene = Scene(seen=[])
    gpu_lost(scene)
    scene.fire("EngineGone", "P1", instance="10.0.0.0:8000", job="vllm", pod="vllm-0")
    scene.fire("ServiceErrorRate", "P0", model_name="llama")
    assert len(set(scene.step().values())) == 3


def test_two_faults_at_once_on_two_nodes_are_two_incidents() -> None:
    scene = Scene()
    gpu_lost(scene, 0)
    scene.fire("NodeDown", "P1", node="n1")
    scene.fire("EngineGone", "P1", pod="vllm-0")
    scene.fire("EngineGone", "P1", pod="vllm-1")
    scene.fire("ServiceErrorRate", "P0", model_name="llama")
    scene.step()
    names = [
        sorted(member.title for member in incident.members.values()) for incident in scene.incidents.ordered()
    ]
    assert sorted(names, key=len) == [
        ["EngineGone on replica/vllm-1", "NodeDown on node/n1"],
        ["EngineGone on replica/vllm-0", "GpuLost on GPU 0 of n0", "ServiceErrorRate on service/llama"],
    ]


def test_two_nodes_of_one_rack_are_two_incidents() -> None:
    scene = Scene()
    scene.fire("NodeDown", node="n0", rack="r1")
    scene.fire("DiskFull", node="n1", rack="r1")
    assert len(set(scene.step().values())) == 2


def test_a_late_cause_joins_the_incident_of_its_symptom() -> None:
    scene = Scene()
    scene.fire("ServiceErrorRate", "P1", model_name="llama")
    scene.step()
    gpu_lost(scene, 1)
    assert set(scene.step(20).values()) == {ONE}
    assert scene.incidents.ordered()[0].root.name == "GpuLost"
    scene.fire("NodeDown", "P1", node="n2")  # another fault that the service feels, too
    assert scene.step(5)["NodeDown"] == TWO


def test_a_service_joins_only_an_active_cause() -> None:
    scene = Scene(settings_of(resolve_hold="5m"))
    gpu_lost(scene)
    scene.step()
    scene.end("GpuLost")
    scene.step(5)
    scene.fire("ServiceErrorRate", "P1", model_name="llama")
    assert scene.step(5)["ServiceErrorRate"] == TWO


def test_what_stands_on_a_cause_may_complain_just_after_its_end() -> None:
    scene = Scene(settings_of(resolve_hold="5m"))
    gpu_lost(scene)
    scene.step()
    scene.end("GpuLost")
    scene.step(5)
    scene.fire("NodeGpusMissing", "P1", node="n0")
    assert scene.step(5)["NodeGpusMissing"] == ONE


def test_a_service_joins_a_replica_that_names_it_without_an_edge() -> None:
    scene = Scene(seen=[])
    scene.fire("EngineStalled", "P1", instance="e:8000", engine="1", model_name="llama")
    scene.step()
    scene.fire("ServiceSlow", "P1", model_name="llama")
    assert set(scene.step(5).values()) == {ONE}


OVERLOAD = {"ServiceOverloaded": ["EngineQueue", "TimeToFirstTokenHigh"]}


def queue(scene: Scene, node: int) -> None:
    scene.fire(
        "EngineQueue", pod=f"vllm-{node}", instance=f"10.0.0.{node}:8000", engine="0", model_name="llama"
    )


def test_an_overload_of_the_service_explains_the_queues_of_all_its_replicas() -> None:
    scene = Scene(explains=OVERLOAD)
    scene.fire("ServiceOverloaded", "P1", model_name="llama")
    scene.step()
    for node in range(3):
        queue(scene, node)
    scene.fire("TimeToFirstTokenHigh", instance="10.0.0.1:8000", job="vllm")  # the service by an edge only
    assert set(scene.step(30).values()) == {ONE}
    scene.restart()
    [incident] = scene.incidents.ordered()
    assert incident.root.name == "ServiceOverloaded"
    assert incident.reach["replica"] == 3
    scene.fire("EngineGone", "P1", pod="vllm-2")  # an overload does not explain that
    assert scene.step(5)["EngineGone"] == TWO  # nor does one lost replica explain the demand
    scene.fire("EngineGone", "P1", pod="vllm-1")
    placed = scene.step(5)
    assert len(scene.ids) == 3
    assert placed["EngineQueue"] == ONE


def test_what_an_overload_explains_does_not_tie_two_faults_together() -> None:
    scene = Scene(explains=OVERLOAD)
    scene.fire("ServiceOverloaded", "P1", model_name="llama")
    scene.step()
    queue(scene, 0)
    queue(scene, 1)
    scene.step(5)
    gpu_lost(scene, 0)
    scene.step(5)
    gpu_lost(scene, 1)
    scene.step(5)
    assert sorted(len(incident.members) for incident in scene.incidents.ordered()) == [1, 1, 3]


def test_a_fault_beneath_explains_a_queue_better_than_an_overload() -> None:
    scene = Scene(explains=OVERLOAD)
    scene.fire("ServiceOverloaded", "P1", model_name="llama")
    gpu_lost(scene, 0)
    scene.fire("NodeDown", "P1", node="n1")
    scene.step()
    queue(scene, 1)
    scene.step(5)
    [node_down] = [
        incident for incident in scene.incidents.ordered() if "n1" in {e.name for e in incident.root.entities}
    ]
    assert sorted(member.name for member in node_down.members.values()) == ["EngineQueue", "NodeDown"]


def test_beyond_the_window_it_is_another_incident() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    for _ in range(11):
        scene.step(60)
    scene.fire("EngineGone", "P1", pod="vllm-0")
    assert scene.step()["EngineGone"] == TWO


def test_watchdog_is_never_an_incident() -> None:
    scene = Scene()
    scene.fire("Watchdog", "P3")
    assert scene.step() == {"Watchdog": ""}
    assert scene.ids == []


def test_an_alert_that_names_nothing_is_an_incident_of_its_own_name() -> None:
    scene = Scene()
    scene.fire("RuleFailed", rule="a")
    scene.fire("RuleFailed", rule="b")
    scene.fire("StoreFull")
    scene.step()
    assert sorted(len(incident.members) for incident in scene.incidents.ordered()) == [1, 2]


def test_it_resolves_after_the_hold_and_a_flap_does_not_close_it() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    scene.end("GpuLost")
    assert scene.step(5) == {"GpuLost": ONE}
    gpu_lost(scene)
    assert scene.step(5) == {"GpuLost": ONE}
    scene.end("GpuLost")
    scene.step(5)
    assert scene.ids == [ONE]
    scene.step(10)
    assert scene.ids == []
    assert scene.kinds(ONE) == ["opened", "ended", "again", "ended", "resolved"]
    assert scene.incidents.timeline(ONE)[-1].sentence == "resolved after 25s: its alert has ended"
    gpu_lost(scene)
    assert scene.step(1) == {"GpuLost": TWO}


def test_an_alert_that_nobody_repeats_does_not_keep_it_open() -> None:
    scene = Scene(settings_of(resolve_timeout="1m"))
    gpu_lost(scene)
    scene.step()
    scene.firing.clear()
    scene.step(60)
    scene.step(10)
    assert scene.ids == []
    assert "not heard of for 1m" in scene.incidents.timeline(ONE)[1].sentence


def test_the_node_is_the_root_when_several_of_its_gpus_complain() -> None:
    scene = Scene()
    scene.fire("GpuLost", Hostname="n0", UUID="GPU-0-0")
    scene.fire("GpuLost", Hostname="n0", UUID="GPU-0-1")
    scene.fire("NodeDown", node="n0")
    scene.step()
    [incident] = scene.incidents.ordered()
    assert incident.root.name == "NodeDown"


def test_a_restart_keeps_open_incidents_ids_timelines_and_topology() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    scene.incidents.note(ONE, scene.now, "action", "cordoned n0")
    scene.step(1)
    before = scene.incidents.describe(ONE)
    scene.restart()
    assert scene.incidents.describe(ONE) == before
    scene.fire("EngineGone", "P1", pod="vllm-0")
    scene.fire("DiskFull", node="n2")
    placed = scene.step(5)
    assert placed == {"GpuLost": ONE, "EngineGone": ONE, "DiskFull": TWO}


def test_ids_go_on_after_a_restart_and_when_the_clock_steps_back() -> None:
    scene = Scene()
    scene.fire("A", node="n0")
    scene.step()
    scene.end("A")
    scene.step(1)
    scene.step(20)
    scene.restart()
    scene.now -= 24 * 60 * MINUTE
    scene.fire("B", node="n1")
    assert scene.step() == {"B": TWO}


def test_notes_go_to_known_incidents_only() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    scene.incidents.note(ONE, T0, "notified", "notified ops (webhook[0]): 200 OK")
    scene.incidents.note("INC-0", T0, "notified", "lost")
    assert scene.kinds(ONE) == ["opened", "notified"]
    assert scene.incidents.timeline("INC-0") == []


def test_closed_incidents_leave_the_memory_but_not_the_store() -> None:
    scene = Scene(settings_of(remembered=2, resolve_hold="0s"))
    for number in range(4):
        scene.fire(f"A{number}", node=f"n{number}")
        scene.step(60)
        scene.end(f"A{number}")
        scene.step(60)
    assert [incident.id[-1] for incident in scene.incidents.ordered(everything=True)] == ["4", "3"]
    with scene.database.reading() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM incidents").scalar() == 4
        assert tx.exec_driver_sql("SELECT count(*) FROM incident_timeline").scalar() == 12
    scene.restart()
    assert [incident.id[-1] for incident in scene.incidents.ordered(everything=True)] == ["4", "3"]


def test_the_api_speaks_rfc_3339_and_the_store_milliseconds() -> None:
    scene = Scene()
    gpu_lost(scene)
    scene.step()
    [stored] = [incident.document() for incident in scene.incidents.ordered()]
    moment = format_moment(T0)
    shown = scene.incidents.describe(ONE)
    assert shown is not None
    assert (shown["opened_at"], shown["changed_at"], shown["resolved_at"]) == (moment, moment, None)
    [member] = shown["members"]
    assert (member["starts_at"], member["joined_at"], member["ends_at"]) == (moment, moment, None)
    assert (stored["opened_at"], stored["members"][0]["starts_at"]) == (T0, T0)


def test_a_reload_takes_how_long_the_topology_is_kept() -> None:
    scene = Scene()
    settings = IncidentSettings.model_validate({"topology_retention": "2m"})
    scene.incidents.reconfigure(settings)
    scene.topology.forget(T0 + 3 * MINUTE)
    assert list(scene.topology.edges()) == []


def test_a_description_is_json() -> None:
    import json

    scene = Scene()
    gpu_lost(scene)
    scene.step()
    described = json.loads(json.dumps(scene.incidents.describe(ONE)))
    assert described["title"] == "GpuLost on GPU 0 of n0"
    assert described["timeline"][0]["kind"] == "opened"
    assert scene.incidents.describe("INC-0") is None


def test_samples_name_declared_metrics_only() -> None:
    from incidents.correlation import METRICS

    scene = Scene()
    gpu_lost(scene)
    scene.step()
    samples = {
        (sample.name, sample.labels.get("tier", "")): sample.value for sample in scene.incidents.samples()
    }
    assert {name for name, _ in samples} == {metric.name for metric in METRICS}
    assert samples["fleetowl_incidents_open", "P1"] == 1


NODES = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("gpu"), NODES),
        st.tuples(st.just("node"), NODES),
        st.tuples(st.just("pod"), NODES),
        st.tuples(st.just("end"), NODES),
        st.tuples(st.just("service"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_whatever_happens_nodes_never_share_an_incident_and_all_ends_quiet(
    events: list[tuple[str, int]],
) -> None:
    scene = Scene()
    for kind, node in events:
        if kind == "gpu":
            gpu_lost(scene, node)
        elif kind == "node":
            scene.fire(f"NodeDown{node}", node=f"n{node}")
        elif kind == "pod":
            scene.fire(f"EngineGone{node}", pod=f"vllm-{node}")
        elif kind == "service":
            scene.fire("ServiceErrorRate", model_name="llama")
        elif kind == "end":
            scene.end(f"EngineGone{node}")
        else:
            scene.restart()
        placed = scene.step(3)
        assert all(placed.values())
        for incident in scene.incidents.ordered():
            touched = {
                entity.name[-1] if entity.kind != "gpu" else entity.name.split("-")[1]
                for member in incident.members.values()
                for entity in member.links
                if entity.kind != "service"
            }
            assert len(touched) <= 1
    for labels in list(scene.firing):
        scene.end(labels["alertname"])
    scene.step(1)
    scene.step(60)
    assert scene.ids == []


def test_exporter_labels_are_not_services() -> None:
    scene = Scene(seen=[])
    for node in ("n0", "n1"):
        scene.fire("NvlinkErrors", Hostname=node, gpu_uuid=f"GPU-{node}", model_name="NVIDIA H100")
    scene.step()
    assert len(scene.ids) == 2
    assert Labels({"a": "b"}) != series("a")
