"""The indexes of matters answer what a look at every member would."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.matter import Matters, are_one_matter
from incidents.member import Member
from model.labels import Labels
from model.topology import Entity, Topology

_NAMES = ("NodeDown", "GpuXid79", "HighLatency", "TargetDown", "SomethingElse")
_PLACES = (Entity("node", "n1"), Entity("gpu", "G1"), Entity("gpu", "G2"), Entity("replica", "p1"))


def _member(number: int, name: str, place: Entity, explained: bool) -> Member:
    labels = Labels({"alertname": name, "number": str(number)})
    member = Member(labels, {}, frozenset([place]), number, None, number, "")
    member.cause = int(explained)
    return member


_MEMBERS = st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_PLACES), st.booleans()), max_size=12)


@settings(max_examples=50)
@given(_MEMBERS, st.data())
def test_what_was_removed_ties_nothing_and_the_rest_ties_as_it_came(
    described: list[tuple[str, Entity, bool]], data: st.DataObject
) -> None:
    matters = Matters(Topology())
    members = [_member(number, *one) for number, one in enumerate(described)]
    for member in members:
        matters.add(member)
    gone = data.draw(st.sets(st.sampled_from(members))) if members else set()
    for member in gone:
        matters.remove(member)
    left = [member for member in members if member not in gone]
    for place in _PLACES:
        assert set(matters.on(place)) == {member for member in left if member.subject == place}
        for name in _NAMES:
            new = _member(99, name, place, explained=False)
            naive = [
                other
                for other in left
                if other.subject == place
                and not other.explained
                and are_one_matter(name, other.name, place.kind)
            ]
            assert [tie.member for tie in matters.ties(new)] == naive


@settings(max_examples=50)
@given(_MEMBERS, st.sampled_from(_NAMES))
def test_a_crowd_is_found_among_all_that_say_the_same(
    described: list[tuple[str, Entity, bool]], name: str
) -> None:
    topology = Topology()
    for place in _PLACES[1:]:
        topology.observe(_PLACES[0], place, 0)
    matters = Matters(topology)
    members = [_member(number, *one) for number, one in enumerate(described)]
    for member in members:
        matters.add(member)
    new = _member(99, name, _PLACES[1], explained=False)
    lost = {"NodeDown", "TargetDown"}
    naive = {
        other
        for other in members
        if not other.explained and (other.name == name or {name, other.name} <= lost)
    }
    things = {other.subject for other in naive} | {new.subject}
    found = matters.together(new)
    if len(things) >= 3:
        assert found is not None
        assert (found[0], set(found[1])) == (_PLACES[0], naive)
    else:
        assert found is None
