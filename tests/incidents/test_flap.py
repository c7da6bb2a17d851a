"""What comes and goes is told a few times, and a real outage always."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.central import CentralSettings
from tests.incidents.house import House, Sign

MINUTE = 60
LABELS = {"alertname": "LinkFlaps", "severity": "critical", "node": "n0"}

spells = st.lists(st.tuples(st.integers(10, 170), st.integers(10, 170)), min_size=1, max_size=14)


def flapping(found: list[tuple[int, int]]) -> tuple[list[Sign], int]:
    signs, at = [], 10
    for fires, quiet in found:
        signs.append(Sign("flap", LABELS, at, at + fires))
        at += fires + quiet
    return signs, at


@settings(max_examples=12, deadline=None)
@given(spells)
def test_however_it_flaps_people_hear_of_it_a_few_times(found: list[tuple[int, int]]) -> None:
    signs, at = flapping(found)
    outage = Sign("flap", LABELS, at + 20, at + 20 + 16 * MINUTE)
    house = House().play([*signs, outage], until=at + 36 * MINUTE)
    firing, resolved = house.notifications(signs, "flap")
    assert firing <= 4
    assert resolved <= 4
    told_firing = [one.status == "firing" for _, one in house.sent]
    ends = [at for at, one in house.sent if one.status == "resolved"]
    begun = 1_795_132_800_000 + outage.begins * 1000
    # While the outage lasts, the last that people were told is that it fires.
    before = [one for at, one in house.sent if at <= begun + 15 * MINUTE * 1000]
    assert told_firing
    assert before[-1].status == "firing"
    assert ends
    assert ends[-1] > begun


def test_without_the_stage_every_end_is_told() -> None:
    signs, at = flapping([(60, 60)] * 8)
    plain = CentralSettings.model_validate({"alertmanager": {"fleetowl": {"flap": False}}})
    without = House(plain).play(signs, until=at + 60).notifications(signs, "flap")
    damped = House().play(signs, until=at + 60).notifications(signs, "flap")
    assert sum(without) >= 12
    assert sum(damped) <= 4
