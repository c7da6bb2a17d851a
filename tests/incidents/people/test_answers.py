"""Acknowledging: by whom, what it refuses, that it outlives the process, and the links for it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.people.link import LIFE, AckLinks
from model.moment import DAY
from tests.incidents.people.duty import Duty
from tests.incidents.scene import T0

KEY = bytes(range(32))


def test_an_answer_is_in_the_timeline_and_outlives_the_process() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", node="n0")
    duty.step()
    name = duty.incident
    decision = duty.incidents.acknowledge(name, " ada\n", duty.now, "a link")
    assert decision.why == f"{name} was acknowledged by a link: ada has it"
    assert duty.incidents.timeline(name)[-1] == (duty.now, "acknowledged", decision.why)
    duty.step()
    duty.restart()
    incident = duty.incidents.get(name)
    assert incident is not None
    assert (incident.acknowledged_by, incident.acknowledged_at) == ("ada", duty.now)
    described = duty.incidents.describe(name)
    assert described is not None
    assert described["acknowledged_at"] == "2026-11-20T00:00:00.000Z"
    assert "takes it over from ada" in duty.incidents.acknowledge(name, "bo", duty.now).why


def test_what_cannot_be_acknowledged_says_why() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", node="n0")
    duty.step()
    name = duty.incident
    assert "no such incident" in duty.incidents.acknowledge("INC-1", "ada", duty.now).why
    assert "say who" in duty.incidents.acknowledge(name, " \n", duty.now).why
    assert "nobody has acknowledged" in duty.incidents.unacknowledge(name, "ada", duty.now).why
    duty.incidents.acknowledge(name, "ada", duty.now)
    assert not duty.incidents.acknowledge(name, "ada", duty.now)
    duty.end("EngineGone")
    duty.step(60)
    duty.step(60)
    assert "is over" in duty.incidents.acknowledge(name, "bo", duty.now).why


def test_a_link_is_the_same_for_a_while_then_expires() -> None:
    links = AckLinks(KEY)
    url = links.url("https://owl.example/fleetowl/", "INC-1", T0, "ada", T0)
    assert url.startswith("https://owl.example/fleetowl/ack/INC-1?")
    assert links.url("https://owl.example/fleetowl", "INC-1", T0, "ada", T0 + 5 * DAY) == url
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    def good(now: int) -> bool:
        return bool(links.check("INC-1", asked["until"], asked["who"], asked["sig"], now))

    assert good(T0 + LIFE - 1000)
    assert not good(T0 + LIFE)
    later = links.url("https://owl.example", "INC-1", T0, "ada", T0 + 6 * DAY + 1)
    assert int(parse_qs(urlsplit(later).query)["until"][0]) * 1000 == T0 + 2 * LIFE


texts = st.text(max_size=12)


@settings(max_examples=25, deadline=None)
@given(texts, texts, texts, texts, texts, texts)
def test_a_signature_is_good_for_nothing_else(
    incident: str, until: str, who: str, other: str, later: str, somebody: str
) -> None:
    links = AckLinks(KEY)
    signature = links.signature(incident, until, who)
    same = (incident, until, who) == (other, later, somebody)
    assert (links.signature(other, later, somebody) == signature) is same
    assert AckLinks(bytes(32)).signature(incident, until, who) != signature
    assert not AckLinks(bytes(32)).check(incident, until, who, signature, 0)
