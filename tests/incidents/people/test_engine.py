"""Who is notified when, until somebody answers."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.incidents.people.duty import TEAM, Duty
from tests.incidents.scene import MINUTE, T0, series

NODE = {"node": "n0"}


def test_without_people_nobody_is_paged() -> None:
    duty = Duty(people=[], schedules=[])
    duty.fire("GpuLost", "P0", node="n0")
    assert duty.over(60) == []
    assert duty.people.dirty is False


def test_a_p1_pages_who_is_on_duty_then_everybody_until_somebody_answers() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    assert duty.paged() == ["ada-im"]
    assert duty.over(14) == []
    assert duty.paged(60) == ["ada-im", "bo-im"]  # 15 min: the deadline of P1
    assert duty.over(14) == []
    assert duty.paged(60) == ["ada-im"]
    assert "nobody has acknowledged it for 15m" in duty.pages[-1].headline
    assert duty.pages[-1].why.endswith("notified ada (is on duty in ops) by ada-im")
    assert duty.kinds(duty.incident).count("escalated") == 2
    assert duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(200) == []


def test_a_p0_pages_everybody_by_phone_every_five_minutes() -> None:
    duty = Duty()
    duty.fire("GpuLost", "P0", **NODE)
    assert duty.paged() == ["ada-phone", "bo-phone"]
    assert duty.over(4) == []
    assert duty.paged(60) == ["ada-phone", "bo-phone"]


@pytest.mark.parametrize(
    ("tier", "kind", "minutes"),
    [
        ("P1", "business", 3),
        ("P1", "anomaly", 10),
        ("P2", "threshold", 20),
        ("P2", "trend", 60),
        ("P0", "trend", 5),
    ],
)
def test_the_deadline_is_the_stricter_of_tier_and_kind(tier: str, kind: str, minutes: int) -> None:
    duty = Duty()
    duty.fire("Some", tier, kind=kind, **NODE)
    duty.step()
    assert duty.over(minutes - 1) == []
    assert duty.paged(60) != []


def test_a_p2_is_due_in_half_an_hour_once_a_service_has_degraded() -> None:
    duty = Duty()
    duty.fire("EngineQueue", "P2", model_name="llama", pod="vllm-0")
    duty.step()
    assert duty.over(29) == []
    assert duty.paged(60) == ["ada-im", "ada-mail", "bo-im", "bo-mail"]


def test_a_p3_pages_nobody() -> None:
    duty = Duty()
    duty.fire("Growth", "P3", **NODE)
    assert duty.over(180) == []


def test_a_receiver_that_the_route_has_told_is_not_paged_of_the_same() -> None:
    duty = Duty()
    duty.route = "ada-im"
    duty.fire("EngineGone", "P1", **NODE)
    assert duty.paged() == []
    entry = duty.incidents.timeline(duty.incident)[-1]
    assert (entry.kind, entry.sentence) == (
        "paged",
        "the incident is open: ada-im has heard of it through a route (step 1 of P1)",
    )
    assert duty.over(15) == ["ada-im", "bo-im"]


def test_an_incident_that_grows_pages_the_next_at_once_and_voids_the_answer() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.step(120)
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    duty.step(60)
    duty.fire("Second", "P1", node="n0", UUID="GPU-0-0", gpu="0")  # nothing new is reached
    assert duty.paged(60) == []
    duty.fire("GpuLost", "P0", node="n0", UUID="GPU-0-1", gpu="1")
    assert duty.paged(60) == ["ada-phone", "bo-phone"]
    assert "tier P1 became P0" in duty.pages[-1].headline
    incident = duty.incidents.get(duty.incident)
    assert incident is not None
    assert incident.acknowledged_at is None
    assert "unacknowledged" in duty.kinds(duty.incident)


def test_a_wider_reach_pages_the_next_step_before_its_time() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", pod="vllm-0")
    duty.step()
    assert duty.over(2) == []
    incident = duty.incidents.get(duty.incident)
    assert incident is not None
    incident.reach, incident.changed_at = {**incident.reach, "replica": 4}, duty.now
    duty.incidents._archive.touch(incident)
    assert duty.paged(60) == ["ada-im", "bo-im"]
    assert "it reaches 4 replicas" in duty.pages[-1].headline
    assert duty.over(14) == []


def test_a_p2_that_lasts_an_hour_is_told_to_those_of_p1_even_when_somebody_has_it() -> None:
    duty = Duty()
    duty.fire("Some", "P2", **NODE)
    duty.step()
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(59) == []
    assert duty.paged(60) == ["ada-im"]
    assert "open for 1h" in duty.pages[-1].headline
    assert duty.over(120) == []
    assert duty.incidents.get(duty.incident).acknowledged_by == "ada"  # type: ignore[union-attr]


def test_a_core_service_makes_it_one_tier_more_urgent() -> None:
    duty = Duty(core_services=['model_name="llama"'])
    duty.fire("EngineQueue", "P2", model_name="llama")
    assert duty.paged() == ["ada-im"]
    assert duty.pages[-1].headline.startswith("P2, as P1 ")
    assert duty.over(15) == ["ada-im", "bo-im"]


def test_giving_back_begins_anew() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(30) == []
    duty.incidents.unacknowledge(duty.incident, "ada", duty.now)
    assert duty.paged(1) == ["ada-im"]


def test_a_silence_over_all_of_it_lets_it_wait() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.silenced = True
    assert duty.over(60) == []
    duty.silenced = False
    assert duty.paged(60) == ["ada-im", "bo-im"]


def test_a_gap_pages_the_fallback_or_all_of_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    layer = {"people": ["ada", "bo"], "restrictions": [{"from": "08:00", "to": "18:00"}]}
    gap = [{"name": "ops", "layers": [layer]}]
    duty = Duty(schedules=gap)
    duty.fire("EngineGone", "P1", **NODE)
    assert duty.paged() == ["ada-im", "bo-im"]  # midnight
    assert (
        "nobody is on duty in ops from Fri 2026-11-20 00:00 UTC until Fri 2026-11-20 08:00 UTC" in caplog.text
    )
    duty = Duty(schedules=gap, fallback=["pager"])
    duty.fire("EngineGone", "P1", **NODE)
    assert duty.paged() == ["pager"]


def test_p2_waits_for_the_end_of_the_quiet_hours_as_one_message_and_p1_does_not() -> None:
    quiet = {"time_zone": "Europe/Berlin", "times": [{"from": "22:00", "to": "07:00"}]}
    duty = Duty(quiet_hours=quiet, p2_limit="12h")
    duty.now = T0 - 30 * MINUTE  # 00:30 in Berlin
    for node in ("n0", "n1", "n2"):
        duty.fire("Some", "P2", node=node)
        assert duty.paged() == []
    duty.fire("EngineGone", "P1", node="n9")
    assert duty.paged() == ["ada-im"]
    duty.incidents.acknowledge(duty.incidents.ordered()[0].id, "ada", duty.now)
    duty.step()
    duty.restart()
    assert duty.over(389) == []  # until 06:59
    assert duty.paged(60) == ["ada-im", "ada-mail"]
    assert duty.pages[-1].headline.startswith("3 incidents need somebody: P2 INC-")
    assert len(duty.pages[-1].alerts) == 3


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 8), ("2026-10-25", 10)])
def test_quiet_hours_end_by_the_wall_clock(day: str, hours: int) -> None:
    from tests.incidents.people.test_schedule import at

    duty = Duty(
        quiet_hours={"time_zone": "Europe/Berlin", "times": [{"from": "22:00", "to": "07:00"}]},
        p2_limit="12h",
    )
    duty.now = at(f"{day}T07:00") - hours * 60 * MINUTE  # 22:00 the day before
    duty.fire("Some", "P2", **NODE)
    assert duty.paged() == []
    assert duty.over(hours * 60 - 1) == []
    assert duty.paged(60) != []


def test_the_state_of_a_p0_is_told_every_quarter_of_an_hour() -> None:
    duty = Duty(status_receivers=["chat"])
    duty.fire("GpuLost", "P0", node="n0", UUID="GPU-0-0", gpu="0")
    duty.step()
    duty.incidents.acknowledge(duty.incident, "ada", duty.now)
    assert duty.over(14) == []
    assert duty.paged(60) == ["chat"]
    first = duty.pages[-1]
    assert first.headline == (
        f"P0 {duty.incident} GpuLost on GPU 0 of n0: open for 15m, "
        "reaches 1 node, 1 GPU, 1 replica, 1 service, ada has it"
    )
    assert first.why.startswith("in the last 15m: ")
    assert "ada has it" in first.why
    duty.restart()
    assert duty.over(15) == ["chat"]
    assert duty.pages[-1].why == "no change in the last 15m"
    duty.step(7200)  # what was missed is not made up
    assert len(duty.pages) == 2 + 2 + 1


def test_p3_is_one_digest_a_week() -> None:
    duty = Duty(
        digest={"receivers": ["list"], "weekday": "monday", "at": "09:00", "time_zone": "Europe/Berlin"}
    )
    duty.fire("Growth", "P3", node="n0")
    duty.fire("Idle", "P3", node="n1")
    duty.step()
    duty.restart()
    days = (3 * 24 + 8) * 60  # to Monday, 09:00 in Berlin
    assert duty.paged(days * 60 - 1) == []
    assert duty.paged(1) == ["list"]
    (page,) = duty.pages
    assert page.headline == "2 P3 incidents from Fri 2026-11-20 01:00 CET to Mon 2026-11-23 09:00 CET"
    assert [alert.name for alert in page.alerts] == ["Growth", "Idle"]
    assert duty.paged(7 * 86_400 - 1) == []


def test_a_clock_that_is_set_back_does_not_hold_up_the_next_step() -> None:
    duty = Duty()
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    duty.now -= 24 * 60 * MINUTE
    assert duty.over(16) != []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([1, 4, 15])),
        st.tuples(st.sampled_from(["crash", "restart", "ack", "unack", "grow"]), st.just(1)),
    ),
    max_size=20,
)


@settings(max_examples=15, deadline=None)
@example([("wait", 15)] * 3 + [("restart", 1)] + [("wait", 15)] * 3)  # nobody hears of it for the first time
@given(steps)
def test_steps_are_sent_once_and_in_order_whatever_restarts_happen(found: list[tuple[str, int]]) -> None:
    duty = Duty(window="12h")
    duty.fire("EngineGone", "P1", **NODE)
    duty.step()
    for what, minutes in found:
        if what == "ack":
            duty.incidents.acknowledge(duty.incident, "ada", duty.now)
        elif what == "unack":
            duty.incidents.unacknowledge(duty.incident, "ada", duty.now)
        elif what == "grow":
            duty.fire(f"Latency{duty.now}", "P0", node="n0")
        elif what == "restart":
            duty.restart()
        duty.step(60 * minutes, crash=what == "crash")
    keys = [page.key for page in duty.pages]
    assert len(set(keys)) == len(keys)
    order = [tuple(map(int, key.split(":")[2:4])) for key in keys if key.startswith("escalation:")]
    assert order == sorted(order)


def test_the_team_of_these_tests_is_right() -> None:
    from incidents.people.check import problems_of_on_call
    from incidents.people.settings import OnCallSettings

    names = [f"{who}-{how}" for who in ("ada", "bo") for how in ("phone", "im", "mail")]
    assert problems_of_on_call(OnCallSettings.model_validate(TEAM), names, "x.yml") == []


def test_a_cause_that_comes_late_and_makes_one_of_two_pages_nobody_again() -> None:
    pods = [series("kube_pod_info", node="n0", pod=pod, namespace="serving") for pod in ("a", "b")]
    duty = Duty(seen=pods, explains={"NodeLost": ["EngineGone"]})
    duty.fire("EngineGone", "P1", pod="a")
    duty.step(1)
    duty.fire("EngineGone", "P1", pod="b")
    assert duty.paged(60) == ["ada-im"]
    first, second = duty.ids
    duty.fire("NodeLost", "P1", node="n0")
    assert duty.over(5) == []
    assert len(duty.ids) == 1
    duty.restart()
    assert duty.over(10) == ["ada-im", "bo-im"]  # once, for what is one incident now
    assert duty.incidents.acknowledge(second, "ada", duty.now)  # a link of the earlier message
    assert duty.over(60) == []
    assert first in duty.ids


def test_a_cause_that_comes_late_pages_nobody_again_though_it_reaches_more() -> None:
    pods = [series("kube_pod_info", node="n0", pod=pod, namespace="serving") for pod in ("a", "b", "c")]
    duty = Duty(seen=pods, explains={"NodeLost": ["EngineGone"]})
    duty.fire("EngineGone", "P1", pod="a")
    duty.step()
    assert duty.over(2) == []
    duty.fire("NodeLost", "P1", node="n0")
    assert duty.over(5) == []
    assert len(duty.ids) == 1
    duty.fire("NodeLost2", "P0", node="n0")
    assert duty.paged(60) == ["ada-phone", "bo-phone"]
