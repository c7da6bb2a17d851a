"""Clocks that ran ahead, and what a restart may believe of what they wrote."""

from __future__ import annotations

from collections.abc import Callable

from alertmanager.notification import Notification, Outcome
from model.alert import Alert
from model.labels import Labels
from model.moment import DAY, HOUR, MINUTE, SECOND
from tests.alertmanager.night import FAILED, T0, TOOK, Night

Build = Callable[..., Night]
POSTED = Labels({"alertname": "Posted", "tier": "P2"})


def post(run: Night, ends_in: int) -> None:
    """As Prometheus does each minute: it fires, and would have ended at so and so unless this is repeated."""
    run.ended.append(Alert(POSTED, {}, T0, run.now + ends_in, incident="INC-1"))


def test_an_end_that_was_moved_on_is_not_believed_after_a_restart(night: Build) -> None:
    run = night()
    for _ in range(10):
        post(run, 4 * MINUTE)
        run.run(60)
    assert [notification.status for _, notification in run.sent] == ["firing"]
    for _ in range(2):  # also by the process after the next one
        run.crash()
        assert run.run(50) == []
    post(run, 4 * MINUTE)
    assert run.run(200) == []
    assert [told[2] for told in run.run(200)] == ["resolved"]


def test_an_end_that_is_near_on_disk_and_was_moved_on_is_not_believed_either(night: Build) -> None:
    run = night()
    for _ in range(3):
        post(run, 4 * MINUTE)
        run.run(70)
    run.crash()  # on disk it ends in 30 s
    assert run.run(60) == []


def test_an_end_in_the_future_still_stands_after_a_restart(night: Build) -> None:
    run = night()
    post(run, HOUR)
    run.run(20)
    run.crash()
    assert run.run(3500) == []
    assert [told[2] for told in run.run(200)] == ["resolved"]


def test_an_end_that_came_true_stays_true_after_a_restart(night: Build) -> None:
    run = night(route={"group_interval": "5m"}, fleetowl={"resolve_wait": None})
    post(run, 30 * SECOND)
    run.run(60)
    run.crash()
    [alert] = run.dispatcher.alerts
    assert alert.ends_at == T0 + 30 * SECOND
    assert [told[0::2] for told in run.run(300)] == [(310, "resolved")]


def test_what_a_clock_that_ran_ahead_left_behind_does_not_wait_for_it_after_a_restart(night: Build) -> None:
    run = night()
    run.now += DAY
    run.fire("A", starts_at=T0)
    run.answer = lambda _n: FAILED
    run.run(20)
    run.now = T0
    run.crash()
    run.answer = lambda _n: TOOK
    assert [told[3] for told in run.run(61)] == ["A"]
    told = run.dispatcher.told("INC-1")
    assert told is not None
    assert told.at <= run.now
    repeated = run.run(HOUR // SECOND + 130)
    assert [one[3] for one in repeated] == ["A"]


def test_what_was_told_by_a_clock_that_ran_ahead_is_repeated_in_time(night: Build) -> None:
    for restart in (False, True):
        run = night()
        run.now += DAY
        run.fire("A", starts_at=T0)
        run.run(20)
        run.now = T0
        if restart:
            run.crash()
        assert [told[3] for told in run.run(HOUR // SECOND + 70)] == ["A"]


def test_groups_that_waited_for_their_turn_are_no_ghosts_after_a_step_back(night: Build) -> None:
    run = night(fleetowl={"rates": {"team": {"messages": 1, "per": "1m"}}})
    for number in range(4):
        run.fire(f"A{number}", incident=f"INC-{number}", starts_at=run.now - MINUTE)
    run.run(1)
    run.now -= 10 * MINUTE
    run.run(1)
    waiting = [group for heap in run.dispatcher._flushing.rates._waiting.values() for *_, group in heap]
    assert all(run.dispatcher._groups.get(group.id) is group for group in waiting)
    for number in range(4):
        run.end(f"A{number}")
    run.run(900)  # a ghost would ask for alerts that are gone
    assert run.dispatcher.alerts == []


def test_a_jump_ahead_gives_nothing_up(night: Build) -> None:
    run = night()

    def answer(notification: Notification) -> Outcome:
        run.now += DAY if len(run.sent) == 0 else 0
        return FAILED if notification.attempt < 5 else TOOK

    run.answer = answer
    run.fire("A", starts_at=T0 - MINUTE)
    # The second is its repetition: by the clock, the first one is a day old.
    assert [told[3] for told in run.run(120)] == ["A", "A"]
    assert run.dispatcher.stats.given_up == {}


def test_a_log_entry_is_kept_however_old_while_its_group_is_there(night: Build) -> None:
    run = night(route={"repeat_interval": "10h"}, fleetowl={"log_retention": "2h"})
    run.fire("A")
    run.run(20)
    run.now += 3 * HOUR
    assert run.run(120) == []  # it would be news again
    assert len(run.dispatcher._flushing.log) == 1
