"""Whatever happens: an alert is only held with a cause that is active, or with what people know already."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.route import Route
from incidents.member import Member
from model.alert import Alert
from model.labels import Labels
from tests.incidents.house import House
from tests.incidents.scene import T0

NAMES = ("NodeDown", "VllmDown", "GpuXid79", "HighTTFT", "SwitchDown", "DiskFull", "InstanceDown", "Overload")
PLACES = st.fixed_dictionaries(
    {},
    optional={
        "node": st.sampled_from(["n0", "n1", "n2"]),
        "rack": st.sampled_from(["r0", "r1"]),
        "switch": st.sampled_from(["s0"]),
        "pod": st.sampled_from(["p0", "p1", "p2"]),
        "UUID": st.sampled_from(["G0", "G1"]),
        "model_name": st.sampled_from(["m0", "m1"]),
    },
)
ALERTS = st.tuples(st.sampled_from(NAMES), st.sampled_from(["critical", "warning", "info"]), PLACES)
STEPS = st.lists(st.tuples(st.lists(ALERTS, max_size=4), st.integers(0, 3), st.integers(1, 90)), max_size=12)
ROUTE = Route(key="", receiver="log")


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_is_held_has_an_active_cause_or_was_told(steps: list[tuple[list, int, int]]) -> None:  # type: ignore[type-arg]
    house, now = House(), T0
    firing: dict[Labels, Alert] = {}
    stage = next(stage for stage in house.alerting.stages if stage.name == "topology")
    for new, ended, seconds in steps:
        now += seconds * 1000
        for name, severity, places in new:
            labels = Labels({"alertname": name, "severity": severity, **places})
            firing.setdefault(labels, Alert(labels, {}, now))
        gone = list(firing)[:ended]
        ends = [Alert(labels, {}, firing.pop(labels).starts_at, now) for labels in gone]
        house.step(now, [*firing.values(), *ends])
        for alert in house.alerting.dispatcher.alerts:
            member = house.incidents.by_fingerprint(alert.fingerprint)
            decision = stage.holds(alert, ROUTE, now)
            if decision and member is not None and not alert.resolved_at(now):
                assert _has_reason(house, member, now), decision.why


def _has_reason(house: House, member: Member, now: int) -> bool:
    incident = house.incidents.get(member.incident)
    assert incident is not None
    since = now - house.incidents.cause_hold
    if not member.explained:
        return any(one.active(since) for one in incident.told_members.values())
    cause = house.incidents.by_fingerprint(member.cause)
    if cause is None or not cause.active(since):
        return False
    about, root = member.subject, cause.subject
    assert about is not None
    assert root is not None
    topology = house.alerting.topology
    around = {about, *topology.carriers(about), *topology.carried(about)}
    services = {one for one in around if one.kind == "service"}
    beneath = {below for service in services for below in topology.carriers(service)}
    nodes = {one for one in topology.carriers(about) if one.kind == "node"}
    beside = {gpu for one in nodes for gpu in topology.carried(one)}
    return root in around | beneath | beside
