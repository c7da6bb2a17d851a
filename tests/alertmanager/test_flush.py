"""What a flush costs, what it remembers, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from alertmanager.dispatch import Dispatcher
from alertmanager.route import Route
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.labels import Labels
from tests.alertmanager.night import T0, Night

Build = Callable[..., Night]


class Watching:
    """A stage that holds nothing back and counts what it is asked and told."""

    name = "flap"

    def __init__(self) -> None:
        self.version = 0
        self.asked: Counter[str] = Counter()
        self.heard: list[str] = []
        self.steps = 0
        self.back: set[str] = set()

    def observe(self, alert: Alert, now: int) -> None:
        self.heard.append(alert.name)

    def step(self, now: int) -> None:
        self.steps += 1

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        self.asked[alert.name] += 1
        return allow("held by the test") if alert.name in self.back else refuse("not held")


def watched(run: Night) -> Watching:
    stage = Watching()
    run.dispatcher = Dispatcher(run.settings, [stage])
    return stage


def test_a_quiet_group_is_not_looked_at_again(night: Build) -> None:
    run = night(route={"group_interval": "10s"})
    stage = watched(run)
    for number in range(5):
        run.fire(f"A{number}")
    run.run(200)  # some twenty flushes
    assert set(stage.asked.values()) == {1}
    assert stage.steps == 200
    assert Counter(stage.heard) == {f"A{number}": 1 for number in range(5)}
    stage.version += 1
    run.run(20)
    assert set(stage.asked.values()) == {2}
    run.fire("B")
    run.run(20)
    assert set(stage.asked.values()) == {1, 3}


def test_a_tick_without_anything_due_touches_no_group(night: Build) -> None:
    run = night(route={"group_by": ["alertname"]})
    for number in range(50):
        run.fire(f"A{number}", starts_at=run.now - 60_000)
    run.run(2)
    groups = run.dispatcher._groups
    assert list(groups.due(run.now)) == []
    assert run.dispatcher.next_at() == T0 + 60_000


def test_new_words_stand_in_the_next_message_though_the_group_was_not_sifted_again(night: Build) -> None:
    run = night(route={"repeat_interval": "2m"})
    run.fire("A")
    run.run(20)
    [labels] = run.firing
    run.firing[labels] = Alert(labels, {"summary": "other words"}, T0, incident="INC-1")
    run.run(120)
    assert run.sent[-1][1].alerts[0].annotations == {"summary": "other words"}
    assert len(run.sent) == 2


def test_every_stage_is_counted_once_for_an_alert(night: Build) -> None:
    run = night(route={"group_interval": "10s", "repeat_interval": "20s"})
    stage = watched(run)
    stage.back = {"B"}
    run.fire("A")
    run.fire("B")
    run.fire("C")
    run.run(100)
    noise = run.dispatcher.noise()
    assert noise == {
        "raw": 300,
        "deduplicated": 297,
        "grouped": 2,
        "muted": 0,
        "inhibited": 0,
        "silenced": 0,
        "topology": 0,
        "flap": 1,
        "learned": 0,
        "notified": 2,
    }
    run.end("A")
    run.run(20)
    run.fire("A")
    run.run(30)
    assert run.dispatcher.noise()["notified"] == 3  # it began anew


def test_a_stage_that_the_settings_want_off_is_not_asked_but_goes_on_hearing(night: Build) -> None:
    run = night(fleetowl={"flap": False})
    stage = watched(run)
    stage.back = {"A"}
    run.fire("A")
    assert [told[3] for told in run.run(12)] == ["A"]
    assert stage.heard == ["A"]
    assert not stage.asked


def test_a_reload_does_not_make_a_group_wait_anew(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(9)
    run.dispatcher.reconfigure(run.settings, run.now)
    assert [told[0] for told in run.run(5)] == [10]


def test_after_a_reload_or_restart_a_group_is_told_whole(night: Build) -> None:
    run = night(fleetowl={"urgent_first": False})
    for number in range(6):
        run.fire(f"A{number}")
    run.run(12)
    for again in (run.crash, lambda: run.dispatcher.reconfigure(run.settings, run.now)):
        again()
        run.fire(f"B{run.now}")
        run.run(61)
    assert [len(n.alerts) for _, n in run.sent] == [6, 7, 8]


def test_an_end_that_moves_ahead_is_no_reason_to_write(night: Build) -> None:
    run = night()
    labels = Labels({"alertname": "A"})
    for _ in range(3):
        run.dispatcher.step(run.now, [Alert(labels, {}, T0, run.now + 60_000)])
        run.now += 1000
    assert run.dispatcher.alerts[0].ends_at == T0 + 62_000
    run.step()
    run.dispatcher.step(run.now, [Alert(labels, {}, T0, run.now + 60_000)])
    assert not run.dispatcher.dirty
    run.now += 50_000
    run.crash()  # the end on disk is older than the last that was said: nobody takes it for one
    run.now += 60_000
    assert not run.dispatcher.alerts[0].resolved_at(run.now - 60_000)
    run.step()
    assert all(n.status == "firing" for n in run.dispatcher.pending)


def test_an_alert_in_two_groups_is_forgotten_once(night: Build) -> None:
    run = night(
        route={"routes": [{"matchers": ['tier="P2"'], "continue": True}, {"matchers": ['tier="P2"']}]}
    )
    run.fire("A", starts_at=run.now - 60_000)
    run.run(2)
    run.end("A")
    run.run(120)
    assert run.dispatcher.alerts == []
    assert len(run.dispatcher._groups) == 0
    assert run.dispatcher._groups._by_values == {}
