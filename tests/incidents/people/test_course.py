"""How courses go on: reloads, ends, quiet hours, clocks, and what has no course at all."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from incidents.people.engine import People
from incidents.settings import IncidentSettings
from model.alert import Tier
from tests.incidents.people.duty import TEAM, Duty
from tests.incidents.scene import MINUTE, T0, series

NODE = {"node": "n0"}
ADA = {"steps": [{"people": ["ada"]}], "repeat": 0}


def reload(duty: Duty, **on_call: Any) -> None:
    duty.settings = IncidentSettings.model_validate({"window": "10m", "on_call": {**TEAM, **on_call}})
    duty.people.reconfigure(duty.settings.on_call)


def sentence(duty: Duty) -> str:
    return duty.incidents.timeline(duty.incident)[-1].sentence


def test_what_nobody_is_notified_of_has_no_course_until_it_is_graver() -> None:
    duty = Duty(window="12h")
    duty.fire("EngineGone", "P3", **NODE)
    assert duty.over(2) == []
    assert len(duty.people._courses) == 0
    duty.incidents.ordered()[0].told = Tier.P3  # as the dispatcher's ledger notes it
    duty.incidents._archive.touch(duty.incidents.ordered()[0])
    duty.step()
    duty.restart()
    duty.fire("GpuLost", "P1", node="n0", UUID="GPU-0-1", gpu="1")
    assert duty.paged(60) == ["ada-im"]
    assert [*duty.people._courses] == [duty.incident]


def test_a_p3_that_becomes_graver_says_so() -> None:
    duty = Duty(window="12h")
    duty.fire("EngineGone", "P3", **NODE)
    duty.over(2)
    duty.fire("GpuLost", "P1", node="n0", UUID="GPU-0-1", gpu="1")
    assert duty.paged(60) == ["ada-im"]
    assert "tier P3 became P1" in duty.pages[-1].headline


def test_a_tick_looks_at_what_is_due_however_many_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    duty = Duty()
    for number in range(30):
        duty.fire(f"Gone{number}", "P1", node=f"n{number}")
    duty.step()
    duty.step(61)
    looked: list[str] = []
    advance = People._advance

    def counted(people: People, *given: Any) -> Any:
        looked.append(given[1].id)
        return advance(people, *given)

    monkeypatch.setattr(People, "_advance", counted)
    duty.step(1)
    assert looked == []
    duty.incidents.acknowledge(duty.ids[3], "ada", duty.now)
    duty.step(1)
    assert looked == [duty.ids[3]]
    assert duty.people.next_at() == T0 + 15 * MINUTE


def test_many_entries_of_a_tick_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    duty = Duty()
    for number in range(30):
        duty.fire(f"Gone{number}", "P1", node=f"n{number}")
    with caplog.at_level(logging.INFO, "fleetowl.incidents"):
        duty.step()
    lines = [line for line in caplog.messages if "notified ada" in line]
    assert len(lines) == 1
    assert lines[0].startswith("30 incidents need people; the first: ")
    assert "notified ada" in duty.incidents.timeline(duty.ids[7])[-1].sentence


@pytest.mark.parametrize("before", [{"steps": []}, ADA])
def test_a_policy_that_has_come_to_its_end_begins_anew_when_a_reload_brings_another(
    before: dict[str, Any],
) -> None:
    duty = Duty(escalation={"P1": before})
    duty.fire("EngineGone", "P1", **NODE)
    duty.over(60)
    reload(duty, escalation={"P1": before})
    assert duty.over(60) == []  # the same policy is no reason
    reload(duty)
    assert duty.paged(60) == ["ada-im"]
    assert duty.over(15) == ["ada-im", "bo-im"]


def test_a_reload_pages_nobody_of_what_somebody_has() -> None:
    duty = Duty(escalation={"P1": ADA})
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    duty.over(5)
    reload(duty)
    assert duty.over(60) == []


def test_the_end_reaches_everybody_who_was_paged_once_and_nobody_else() -> None:
    duty = Duty()
    duty.route = "ada-im"
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()  # ada has heard of it by the route, which tells her the end too
    duty.end("EngineGone")
    assert duty.over(5) == []
    duty.fire("EngineGone", "P1", **NODE)
    duty.over(32)
    duty.restart()
    name, known = duty.ids[0], len(duty.pages)
    duty.end("EngineGone")
    assert duty.over(5) == ["ada-im", "bo-im"]
    for page in duty.pages[known:]:
        assert page.resolved
        assert [(alert.incident, alert.resolved_at(duty.now)) for alert in page.alerts] == [(name, True)]
    assert duty.over(60) == []


def test_the_end_of_one_that_has_become_part_of_another_is_told_under_its_own_name() -> None:
    pods = [series("kube_pod_info", node="n0", pod=pod, namespace="serving") for pod in ("a", "b")]
    duty = Duty(seen=pods, explains={"NodeLost": ["EngineGone"]})
    duty.fire("EngineGone", "P1", pod="a")
    duty.step(1)
    duty.fire("EngineGone", "P1", pod="b")
    duty.step(60)
    first, second = duty.ids
    duty.fire("NodeLost", "P1", node="n0")
    duty.over(5)
    for name in ("EngineGone", "NodeLost"):
        duty.end(name)
    duty.over(5)
    over = {(page.receiver, page.alerts[0].incident) for page in duty.pages if page.resolved}
    assert over == {("ada-im", first), ("ada-im", second)}


def test_what_both_were_told_of_is_known_of_the_one_that_they_become() -> None:
    pods = [series("kube_pod_info", node="n0", pod=pod, namespace="serving") for pod in ("a", "b")]
    duty = Duty(seen=pods, explains={"NodeLost": ["EngineGone"]})
    duty.route = "chat-a"
    duty.fire("EngineGone", "P1", pod="a")
    duty.step(1)
    duty.route = "chat-b"
    duty.fire("EngineGone", "P1", pod="b")
    duty.step(60)
    duty.fire("NodeLost", "P1", node="n0")
    duty.over(5)
    (course,) = duty.people._courses.values()
    assert {"chat-a", "chat-b"} <= set(course.heard)


def test_the_timeline_says_who_could_not_be_notified() -> None:
    duty = Duty()
    duty.gone = {"ada-im"}
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    assert "ada (is on duty in ops) was not notified: gone" in sentence(duty)


def test_the_state_of_what_became_a_p0_is_counted_from_then() -> None:
    duty = Duty(status_receivers=["chat"], window="2h")
    duty.fire("EngineGone", "P1", **NODE)
    duty.over(20)
    duty.fire("GpuLost", "P0", **NODE)
    assert duty.paged(60) == ["ada-phone", "bo-phone"]
    assert "chat" not in duty.over(14)
    assert "chat" in duty.paged(60)
    assert "notified: ada, bo" in duty.pages[-1].headline


def test_a_p2_that_lasts_wakes_nobody_in_quiet_hours() -> None:
    duty = Duty(quiet_hours={"times": [{"from": "00:00", "to": "07:00"}]})
    duty.fire("Slow", "P2", **NODE)
    duty.step()
    assert duty.over(30) == []
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(60) == []
    duty.incidents.unacknowledge(duty.incident, "ada", duty.now)
    duty.step()
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(329) == []
    assert duty.paged(60) == ["ada-im"]
    assert duty.over(120) == []


def test_a_clock_that_was_set_back_while_nobody_looked_holds_up_nothing() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.over(5)
    duty.now -= 180 * MINUTE
    duty.restart()
    assert duty.over(16) != []


def test_the_digest_leaves_out_what_a_silence_covers() -> None:
    duty = Duty(digest={"rotation": "daily", "at": "12:00", "receivers": ["list"]})
    duty.silenced = True
    duty.fire("Slow", "P3", node="n0")
    duty.fire("Brief", "P3", node="n1")
    duty.step()
    duty.end("Brief")
    duty.over(10)
    duty.silenced = False
    duty.fire("Idle", "P3", node="n2")
    duty.over(12 * 60)
    (page,) = duty.pages
    assert {alert.name for alert in page.alerts} == {"Slow", "Idle"}  # its silence is over
    assert page.why.endswith("; 1 that a silence covered is left out")


def test_the_digest_lists_once_what_is_over_and_again_what_goes_on() -> None:
    duty = Duty(digest={"rotation": "daily", "at": "12:00", "receivers": ["list"]})
    duty.fire("Over", "P3", node="n0")
    duty.fire("Open", "P3", node="n1")
    duty.step()
    duty.end("Over")
    duty.over(12 * 60)
    duty.over(24 * 60)
    assert [sorted(alert.name for alert in page.alerts) for page in duty.pages] == [
        ["Open", "Over"],
        ["Open"],
    ]


def test_a_p3_on_a_core_service_wakes_nobody() -> None:
    duty = Duty(core_services=['model_name="llama"'])
    duty.fire("EngineQueue", "P3", model_name="llama")
    assert duty.over(120) == []
