"""The root of an incident, kept while it grows, is the one that a look at every member finds."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from incidents.incident import CAUSE_ORDER, Incident
from incidents.member import Member
from incidents.roles import Role
from model.labels import Labels
from model.topology import Entity

_NAMES = ("NodeDown", "GpuXid79", "HighLatency", "SomethingElse")
_PLACES = (
    frozenset[Entity](),
    frozenset([Entity("node", "n1")]),
    frozenset([Entity("node", "n1"), Entity("gpu", "G1")]),
    frozenset([Entity("node", "n1"), Entity("gpu", "G2")]),
    frozenset([Entity("service", "chat")]),
)


def _naive_root(incident: Incident) -> Member:
    heads = [member for member in incident.members.values() if not member.cause]
    heads = heads or list(incident.members.values())
    gpus = {entity for member in heads for entity in member.entities if entity.kind == "gpu"}
    order = ["node", "gpu", *CAUSE_ORDER[2:]] if len(gpus) > 1 else list(CAUSE_ORDER)

    def rank(member: Member) -> tuple[bool, int, int, tuple[tuple[str, str], ...]]:
        depth = order.index(member.subject.kind) if member.subject else len(order)
        is_sign = member.sense.role in (Role.SYMPTOM, Role.WATCH)
        return is_sign, depth, member.starts_at, member.labels.pairs

    return min(heads, key=rank)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(_NAMES), st.sampled_from(_PLACES), st.integers(0, 3), st.booleans(), st.integers(0, 9)
    ),
    min_size=1,
    max_size=10,
)


_N1, _G1, _G2 = Entity("node", "n1"), Entity("gpu", "G1"), Entity("gpu", "G2")


@example(
    [
        ("NodeDown", frozenset([_N1]), 0, True, 0),
        ("NodeDown", frozenset([_G1, _N1]), 0, True, 1),
        ("NodeDown", frozenset(), 0, True, 0),
        ("NodeDown", frozenset(), 0, True, 1),
        ("NodeDown", frozenset([_G2, _N1]), 0, True, 0),
        ("NodeDown", frozenset([_G1, _N1]), 0, False, 0),
    ]
)
@settings(max_examples=60)
@given(_STEPS)
def test_the_root_is_the_same_however_the_incident_came_about(
    steps: list[tuple[str, frozenset[Entity], int, bool, int]],
) -> None:
    incident = Incident("INC-1", 0, 0)
    members: list[Member] = []
    for number, (name, place, starts_at, is_explained, other) in enumerate(steps):
        labels = Labels({"alertname": name, "number": str(number)})
        member = Member(labels, {}, place, starts_at, None, number, "")
        member.cause = int(is_explained)
        members.append(member)
        incident.add(member)
        assert incident.root is _naive_root(incident)
        turned = members[other % len(members)]
        turned.cause = 1 - turned.cause
        incident.regard(turned)
        if other % 3:  # sometimes nobody asks in between
            assert incident.root is _naive_root(incident)
