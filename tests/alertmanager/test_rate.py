"""The rate of a receiver: who waits, for how long, and what it then says."""

from __future__ import annotations

from collections.abc import Callable

from alertmanager.notification import Page
from alertmanager.rate import MACHINES, Share, rate_of
from alertmanager.settings import RateSettings
from model.alert import Tier
from tests.alertmanager.night import T0, Night, settings_of

Build = Callable[..., Night]
RATES = {"rates": {"team": {"messages": 2, "per": "1m"}}}


def test_so_many_in_a_row_then_one_by_one() -> None:
    share = Share(RateSettings.model_validate({"messages": 3, "per": "1m"}))
    left = []
    for second in range(121):
        while share.next_at() <= T0 + second * 1000:
            share.spend(T0 + second * 1000)
            left.append(second)
    assert left == [0, 0, 0, 20, 40, 60, 80, 100, 120]


def test_groups_wait_the_most_urgent_first_and_then_tell_all_at_once(night: Build) -> None:
    run = night(fleetowl=RATES)
    for number, tier in enumerate(("P3", "P3", "P3", "P1", "P2")):
        run.fire(f"A{number}", incident=f"INC-{number}", tier=tier, starts_at=run.now - 60_000 + number)
    assert [told[3] for told in run.run(1)] == ["A0", "A1"]
    assert {held.stage for held in run.dispatcher.held.values()} == {"rate"}
    assert {h.why for h in run.dispatcher.held.values()} == {
        "team has had its 2 messages in 1m: this waits for its turn"
    }
    run.fire("More", incident="INC-2", tier="P3")
    assert [told[0::3] for told in run.run(100)] == [(30, "A3"), (60, "A4"), (90, "A2 More")]
    assert run.dispatcher.held == {}


def test_a_p0_never_waits_and_a_page_neither(night: Build) -> None:
    run = night(fleetowl=RATES)
    for number in range(5):
        tier = "P0" if number > 2 else "P2"
        run.fire(f"A{number}", incident=f"INC-{number}", tier=tier, starts_at=run.now - 60_000)
    run.dispatcher.page([Page("status:1", "team", "still open", "15m went by", tier=Tier.P1)], run.now)
    told = run.run(1)
    assert [t[3] for t in told][:2] == ["A3", "A4"]
    assert sum(not n.alerts for _, n in run.sent) == 1


def test_a_waiting_group_is_not_forgotten_by_reload_or_restart(night: Build) -> None:
    run = night(fleetowl=RATES)
    for number in range(4):
        run.fire(f"A{number}", incident=f"INC-{number}", starts_at=run.now - 60_000)
    run.run(1)
    run.dispatcher.reconfigure(run.settings, run.now)
    run.run(31)
    run.crash()
    run.run(70)
    assert sorted(n.alerts[0].name for _, n in run.sent) == ["A0", "A1", "A2", "A3"]


def test_an_alert_that_ends_while_it_waits_costs_no_message(night: Build) -> None:
    run = night(fleetowl=RATES)
    for number in range(4):
        run.fire(f"A{number}", incident=f"INC-{number}", starts_at=run.now - 60_000)
    run.run(2)
    run.end("A2")
    assert [told[3] for told in run.run(40)] == ["-A0", "A3"] or run.sent[-1][1].alerts[0].name == "A3"
    assert not any(n.alerts[0].name == "A2" for _, n in run.sent)


def test_only_people_have_a_rate_unless_one_is_named() -> None:
    settings = settings_of(
        receivers=[
            {"name": "team", "log_configs": [{}]},
            {"name": "hook", "webhook_configs": [{"url": "http://127.0.0.1:9"}]},
            {"name": "people", "apprise_configs": [{"urls": ["json://127.0.0.1"]}], "log_configs": [{}]},
        ],
        fleetowl=RATES,
    )
    rates = {receiver.name: rate_of(receiver, settings) for receiver in settings.receivers}
    assert rates["hook"] is None
    assert rates["people"] == settings.fleetowl.rate
    assert rates["team"] == settings.fleetowl.rates["team"]
    assert "webhook" in MACHINES


def test_a_clock_that_is_set_back_does_not_stop_a_receiver(night: Build) -> None:
    run = night(fleetowl=RATES)
    for number in range(3):
        run.fire(f"A{number}", incident=f"INC-{number}", starts_at=run.now - 60_000)
    run.run(1)
    run.now -= 3_600_000
    run.run(70)
    assert {n.alerts[0].name for _, n in run.sent} == {"A0", "A1", "A2"}
