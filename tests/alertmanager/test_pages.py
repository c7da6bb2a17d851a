"""Pages: what is told although no group asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from alertmanager.dispatch import Dispatcher
from alertmanager.notification import Brief, Page
from model.alert import Alert, Tier
from model.labels import Labels
from store.durable import persist, restore
from tests.alertmanager.night import FAILED, T0, TOOK, Night, settings_of

Build = Callable[..., Night]
PAGE = Page("escalation:INC-1:2", "team", "INC-1 waits for 15m", "nobody acknowledged INC-1", tier=Tier.P1)
ALERT = Alert(Labels({"alertname": "A", "tier": "P2"}), {}, T0, value=1.0, incident="INC-1")


def test_a_page_is_sent_once_by_each_integration(night: Build) -> None:
    run = night(receivers=[{"name": "team", "log_configs": [{}, {}]}])
    [decision] = run.dispatcher.page([PAGE], run.now)
    assert decision
    assert str(decision) == "team is paged: nobody acknowledged INC-1"
    [again] = run.dispatcher.page([PAGE], run.now)
    assert not again
    run.run(10)
    assert [(n.delivery.integration, n.headline, n.status, n.tier) for _, n in run.sent] == [
        ("log[0]", "INC-1 waits for 15m", "firing", Tier.P1),
        ("log[1]", "INC-1 waits for 15m", "firing", Tier.P1),
    ]
    assert not run.dispatcher.page([PAGE], run.now)[0]


def test_a_restarted_process_does_not_page_again(night: Build) -> None:
    run = night()
    run.dispatcher.page([PAGE], run.now)
    run.run(2)
    run.step()
    run.crash()
    assert not run.dispatcher.page([PAGE], run.now)[0]
    assert run.run(5) == []


def test_a_page_that_was_sent_before_a_crash_is_sent_again_under_the_same_key(night: Build) -> None:
    run = night()
    run.dispatcher.page([PAGE], run.now)
    [first] = run.dispatcher.step(run.now, [])  # it left, and nothing of it was committed
    run.crash()
    run.now += 5_000
    run.dispatcher.page([replace(PAGE, alerts=(ALERT,))], run.now)
    [again] = run.step()
    assert again.dedup_key == first.dedup_key


def test_a_page_is_retried_as_it_is(night: Build) -> None:
    run = night()
    run.answer = lambda _n: FAILED
    run.dispatcher.page([replace(PAGE, alerts=(ALERT,))], run.now)
    run.run(3)
    run.crash()
    run.answer = lambda _n: TOOK
    run.run(10)
    first, last = run.sent[0][1], run.sent[-1][1]
    assert len(run.sent) > 1
    assert last == replace(first, attempt=last.attempt)
    assert run.dispatcher.pending == []


def test_pages_leave_by_their_tier(night: Build) -> None:
    run = night()
    run.fire("Old", starts_at=run.now - 60_000, tier="P1")
    run.dispatcher.page([replace(PAGE, tier=Tier.P3), replace(PAGE, key="x", tier=Tier.P0)], run.now)
    assert [n.tier for n in run.step()] == [Tier.P0, Tier.P1, Tier.P3]


def test_a_page_to_nobody_is_refused_and_said_once(night: Build, caplog: pytest.LogCaptureFixture) -> None:
    run = night()
    nobody = replace(PAGE, receiver="nobody")
    decisions = [run.dispatcher.page([nobody], run.now)[0] for _ in range(3)]
    assert not any(decisions)
    assert str(decisions[0]) == "the page escalation:INC-1:2 goes nowhere: there is no receiver 'nobody'"
    assert caplog.text.count("goes nowhere") == 1


def test_the_tier_at_which_people_were_told_is_the_most_urgent_and_outlives_the_process(night: Build) -> None:
    run = night()

    def told_tier() -> Tier | None:
        told = run.dispatcher.told("INC-1")
        return told.tier if told else None

    assert told_tier() is None
    run.fire("A", tier="P2")
    run.run(12)
    assert told_tier() is Tier.P2
    run.dispatcher.page([replace(PAGE, alerts=(ALERT,))], run.now)
    assert told_tier() is Tier.P1
    run.fire("B", tier="P3")
    run.run(70)
    run.crash()
    assert told_tier() is Tier.P1


def test_briefs_are_asked_once_and_frozen() -> None:
    asked: list[Sequence[str]] = []

    def briefs(incidents: Sequence[str]) -> Sequence[Brief]:
        asked.append(incidents)
        return [Brief(incident, f"asked {len(asked)} times", ("a line",), "u", "a") for incident in incidents]

    run = Night(settings_of())
    run.dispatcher = Dispatcher(run.settings, briefs=briefs)
    run.answer = lambda _n: FAILED
    run.fire("A", starts_at=run.now - 60_000)
    run.run(5)
    persist(run.database, [run.dispatcher])
    run.dispatcher = Dispatcher(run.settings, briefs=briefs)
    restore(run.database, [run.dispatcher], run.now)
    run.run(5)
    assert asked == [["INC-1"]]
    assert {n.briefs for _, n in run.sent} == {(Brief("INC-1", "asked 1 times", ("a line",), "u", "a"),)}


def test_an_end_goes_to_those_integrations_that_want_ends_and_a_digest_to_all(night: Build) -> None:
    run = night(receivers=[{"name": "team", "log_configs": [{}, {"send_resolved": False}]}])
    over = replace(PAGE, key="over", alerts=(replace(ALERT, ends_at=run.now),))
    run.dispatcher.page([replace(over, resolved=True)], run.now)
    run.run(5)
    assert [(n.delivery.integration, n.status) for _, n in run.sent] == [("log[0]", "resolved")]
    run.dispatcher.page([replace(over, key="digest")], run.now)
    run.run(5)
    assert [n.delivery.integration for _, n in run.sent[1:]] == ["log[0]", "log[1]"]


def test_a_page_to_a_receiver_without_an_integration_is_refused(night: Build) -> None:
    run = night(receivers=[{"name": "team", "log_configs": [{}]}, {"name": "mute"}])
    (decision,) = run.dispatcher.page([replace(PAGE, receiver="mute")], run.now)
    assert not decision
    assert "the receiver 'mute' has no integration" in decision.why
