"""When groups are told, in Alertmanager's words and with Fleetowl's additions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from alertmanager.dispatch import Dispatcher
from alertmanager.notification import Notification, Outcome
from alertmanager.route import Route
from alertmanager.stages import Stage
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.labels import Labels
from tests.alertmanager.night import FAILED, REFUSED, T0, TOOK, Night

Build = Callable[..., Night]
PLAIN = {"urgent_first": False, "resolve_wait": None}
TWO = [{"name": "team", "log_configs": [{}, {"send_resolved": False}]}]


def test_alerts_within_group_wait_come_together(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    assert run.run(5) == []
    run.fire("B")
    assert run.run(6) == [(10, "team", "firing", "A B")]


def test_new_members_come_at_the_next_interval_with_the_old_ones(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    run.run(11)
    run.fire("B")
    assert run.run(60) == [(70, "team", "firing", "A B")]
    assert run.run(600) == []


def test_group_wait_is_skipped_for_an_alert_that_began_long_ago(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A", starts_at=run.now - 10_000)
    assert run.run(1) == [(0, "team", "firing", "A")]


def test_an_older_alert_flushes_a_waiting_group(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    run.run(3)
    run.fire("B", starts_at=run.now - 60_000)
    assert run.run(1) == [(3, "team", "firing", "B A")]


def test_unchanged_groups_are_repeated_after_repeat_interval(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    assert [told[0] for told in run.run(7300)] == [10, 3610, 7210]


def test_repeat_below_group_interval_repeats_at_group_interval(night: Build) -> None:
    run = night(route={"repeat_interval": "1s"}, fleetowl=PLAIN)
    run.fire("A")
    assert [told[0] for told in run.run(140)] == [10, 70, 130]
    run.end("A")
    assert run.run(120) == [(190, "team", "resolved", "-A")]


def test_an_end_is_told_at_the_next_interval_and_once(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    run.fire("B")
    run.run(15)
    run.end("A")
    assert run.run(60) == [(70, "team", "firing", "-A B")]
    run.end("B")
    assert run.run(600) == [(130, "team", "resolved", "-B")]
    assert run.dispatcher.alerts == []
    assert len(run.dispatcher._groups) == 0


def test_an_alert_that_ends_before_anybody_heard_of_it_is_not_told(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(3)
    run.end("A")
    assert run.run(100) == []
    assert run.dispatcher.alerts == []


def test_send_resolved_false_notes_the_end_so_that_the_next_start_is_news(night: Build) -> None:
    run = night(receivers=[{"name": "team", "log_configs": [{"send_resolved": False}]}], fleetowl=PLAIN)
    run.fire("A")
    assert run.run(15) == [(10, "team", "firing", "A")]
    run.end("A")
    assert run.run(120) == []
    run.fire("A")
    assert run.run(60) == [(145, "team", "firing", "A")]


def test_without_send_resolved_ended_alerts_stay_out_of_a_mixed_message(night: Build) -> None:
    run = night(receivers=TWO, fleetowl=PLAIN)
    run.fire("A")
    run.fire("B")
    run.run(15)
    run.end("A")
    run.fire("C")
    assert sorted(run.run(60)) == [(70, "team", "firing", "-A B C"), (70, "team", "firing", "B C")]


def test_a_receiver_that_fails_is_retried_and_does_not_disturb_the_other(night: Build) -> None:
    run = night(receivers=TWO)
    down = {"until": 60}

    def answer(notification: Notification) -> Outcome:
        second = (run.now - 1_795_000_000_000) // 1000
        failing = notification.delivery.integration == "log[1]" and second < down["until"]
        return FAILED if failing else TOOK

    run.answer = answer
    run.fire("A")
    taken = run.run(100)
    assert [told[0] for told in taken][:1] == [10]
    assert len(taken) == 2
    tries = [at for at, notification in run.sent if notification.delivery.integration == "log[1]"]
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waits == sorted(waits)  # each wait is about twice the last
    assert 4 <= len(tries) <= 9
    assert len({notification.dedup_key for _, notification in run.sent}) == 2
    assert [n.attempt for _, n in run.sent if n.delivery.integration == "log[1]"] == [
        *range(1, len(tries) + 1)
    ]


def test_what_changed_while_a_receiver_was_down_follows_at_once(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.answer = lambda _n: FAILED
    run.fire("A")
    run.run(100)
    run.end("A")
    run.run(100)
    run.answer = lambda _n: TOOK
    taken = run.run(70)
    assert [told[2:] for told in taken] == [("firing", "A"), ("resolved", "-A")]
    assert taken[1][0] - taken[0][0] <= 1


def test_retry_after_is_respected(night: Build) -> None:
    run = night()
    run.answer = lambda _n: Outcome(False, True, "429 Too Many Requests", retry_after=45_000)
    run.fire("A")
    run.run(60)
    assert [(at - run.sent[0][0]) // 1000 for at, _ in run.sent] == [0, 45]


def test_a_refusal_is_retried_slowly_then_given_up_loudly(
    night: Build, caplog: pytest.LogCaptureFixture
) -> None:
    run = night(fleetowl={"retry": {"refused_interval": "10m", "refused_attempts": 3}})
    run.answer = lambda _n: REFUSED
    run.fire("A")
    run.run(3000)
    assert [(at - run.sent[0][0]) // 1000 for at, _ in run.sent] == [0, 600, 1200]
    assert "given up, for it was refused 3 times" in caplog.text
    assert run.dispatcher.stats.given_up == {("team", "log[0]"): 1}
    run.answer = lambda _n: TOOK
    assert [told[0] for told in run.run(1000)] == [3610]  # said again with the next repetition


def test_giving_up_ends_a_retry_after_its_time(night: Build) -> None:
    run = night(fleetowl={"retry": {"give_up_after": "5m"}})
    run.answer = lambda _n: FAILED
    run.fire("A")
    run.run(420)
    assert run.dispatcher.stats.given_up == {("team", "log[0]"): 1}
    assert run.dispatcher.pending == []


def test_the_sentences_say_what_happened(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(10)
    [notification] = run.step()
    failed = run.dispatcher.record(notification, FAILED, run.now)
    assert str(failed).startswith(
        "team (log[0]) did not take 1 alert (firing, INC-1): 503 Service Unavailable; attempt 2 in "
    )
    run.now += 2000
    [again] = run.step()
    told = run.dispatcher.record(again, TOOK, run.now)
    assert str(told) == "notified team (log[0]) of 1 alert (firing, INC-1): 200 OK"
    assert not run.dispatcher.record(again, TOOK, run.now)


def test_the_first_p0_leaves_at_once_and_in_front(night: Build) -> None:
    run = night()
    run.fire("Minor", incident="INC-1", starts_at=run.now - 60_000)
    run.fire("Disaster", incident="INC-2", tier="P0")
    assert [told[3] for told in run.run(1)] == ["Disaster", "Minor"]


def test_a_group_that_comes_in_parts_is_told_whole_and_a_p0_does_not_wait_for_the_rest(night: Build) -> None:
    run = night()
    late = run.now - 60_000

    def told(*alerts: Alert, more: bool) -> list[int]:
        return [len(one.alerts) for one in run.dispatcher.step(run.now, alerts, more=more)]

    parts = [
        Alert(Labels({"alertname": "A", "gpu": str(gpu)}), {}, late, incident="INC-1") for gpu in range(3)
    ]
    urgent = Alert(Labels({"alertname": "B", "tier": "P0"}), {}, late, incident="INC-2")
    assert told(parts[0], more=True) == []
    run.now += 200
    assert told(parts[1], urgent, more=True) == [1]
    run.now += 200
    assert told(parts[2], more=True) == []
    run.now += 100
    assert told(more=True) == [3], "the rest that never comes is not waited for"


def test_a_p0_that_joins_a_told_group_leaves_at_once_and_the_second_waits(night: Build) -> None:
    run = night()
    run.fire("Minor")
    run.run(15)
    run.fire("First", tier="P0")
    run.fire("Second", tier="P0", gpu="1")
    run.run(1)
    run.fire("Third", tier="P0", gpu="2")
    assert [run.told(notification)[3] for _, notification in run.sent[1:]] == ["Minor First Second"]
    assert [told[0] for told in run.run(70)] == [75]


def test_a_p0_right_behind_another_waits_to_be_found_the_same_disaster(night: Build) -> None:
    run = night()
    run.fire("First", incident="INC-1", tier="P0")
    run.run(2)
    run.fire("Second", incident="INC-2", tier="P0")
    run.run(20)
    run.fire("Third", incident="INC-3", tier="P0")
    run.run(2)
    assert [((at - T0) // 1000, run.told(notification)[3]) for at, notification in run.sent] == [
        (0, "First"),
        (12, "Second"),
        (22, "Third"),
    ]


def test_a_flapping_p0_is_told_at_most_once_an_interval(night: Build) -> None:
    run = night()
    for _ in range(10):
        run.fire("Flap", tier="P0")
        run.run(20)
        run.end("Flap")
        run.run(20)
    starts = [at for at, notification in run.sent if notification.status == "firing"]
    assert all(later - earlier >= 60_000 for earlier, later in itertools.pairwise(starts))


def test_plain_alertmanager_knows_no_urgency(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("Disaster", tier="P0")
    assert run.run(11) == [(10, "team", "firing", "Disaster")]


def test_a_group_that_ended_says_so_soon(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(12)
    run.end("A")
    assert run.run(30) == [(27, "team", "resolved", "-A")]


def test_an_alert_that_nobody_repeats_ends_after_resolve_timeout(night: Build) -> None:
    run = night(**{"global": {"resolve_timeout": "30s"}})
    run.fire("A")
    run.run(20)
    run.firing.clear()
    assert [told[2] for told in run.run(60)] == ["resolved"]


def test_resolve_timeout_does_not_count_the_time_that_we_were_away(night: Build) -> None:
    run = night(**{"global": {"resolve_timeout": "30s"}})
    run.fire("A")
    run.run(20)
    run.now += 1_800_000
    run.crash()
    silent, run.firing = run.firing, {}
    assert run.run(20) == []
    run.firing = silent
    assert all(told[2] == "firing" for told in run.run(60))


def test_an_end_in_the_future_comes_true(night: Build) -> None:
    run = night()
    labels = Labels({"alertname": "Posted"})
    run.ended.append(Alert(labels, {}, run.now - 60_000, run.now + 20_000, incident="INC-1"))
    assert [told[2:] for told in run.run(60)] == [("firing", "Posted"), ("resolved", "-Posted")]


def test_the_same_alert_in_a_later_incident_is_told_anew(night: Build) -> None:
    run = night()
    run.fire("A", incident="INC-1")
    run.run(12)
    run.firing.clear()
    run.fire("A", incident="INC-2")
    told = run.run(30)
    assert [told[2:] for told in told] == [("firing", "A"), ("resolved", "-A")]
    assert {n.group_key[-9:] for _, n in run.sent} == {'="INC-1"}', '="INC-2"}'}


def test_routes_by_tier_take_severity_too(night: Build) -> None:
    run = night(
        route={"routes": [{"receiver": "pager", "matchers": ['tier=~"P0|P1"']}]},
        receivers=[{"name": "team", "log_configs": [{}]}, {"name": "pager", "log_configs": [{}]}],
    )
    labels = Labels({"alertname": "A", "severity": "critical"})
    run.firing[labels] = Alert(labels, {}, run.now - 60_000)
    assert [told[1] for told in run.run(1)] == ["pager"]


def test_a_receiver_without_integrations_swallows(night: Build) -> None:
    run = night(receivers=[{"name": "team"}])
    run.fire("A")
    assert run.run(100) == []
    run.end("A")
    run.run(100)
    assert run.dispatcher.alerts == []


def test_an_unanswered_notification_is_handed_out_again(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(10)
    [first] = run.step()
    run.now += 299_000
    assert run.step() == []
    run.now += 1_000
    assert run.step() == [first]


def test_a_restarted_process_that_decides_the_same_again_uses_the_same_key(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    run.run(12)
    run.fire("B")
    run.now += 60_000
    alerts = list(run.firing.values())
    [first] = run.dispatcher.step(run.now, alerts)  # sent, but never committed: the disk was full
    run.crash()
    run.now += 7_000
    [again] = run.dispatcher.step(run.now, alerts)
    assert again.at != first.at
    assert again.dedup_key == first.dedup_key
    run.end("B")
    run.dispatcher.record(again, TOOK, run.now)
    run.run(120)
    assert run.sent[-1][1].dedup_key != first.dedup_key


def test_a_late_answer_for_an_older_notification_changes_nothing(night: Build) -> None:
    run = night(fleetowl=PLAIN)
    run.fire("A")
    run.run(12)
    older = run.sent[0][1]
    run.fire("B")
    run.now += 60_000
    [newer] = run.step()
    assert not run.dispatcher.record(older, TOOK, run.now)
    assert run.dispatcher.pending == [newer]
    assert run.dispatcher.record(newer, TOOK, run.now)


def test_a_stage_holds_back_and_says_why(night: Build) -> None:
    class Quiet:
        name = "silence"
        on = True
        version = 0

        def observe(self, alert: Alert, now: int) -> None: ...

        def step(self, now: int) -> None: ...

        def holds(self, alert: Alert, route: Route, now: int) -> Decision:
            if self.on and alert.name == "A":
                return allow("silenced by the test")
            return refuse("not silenced")

    run = night(fleetowl=PLAIN)
    quiet = Quiet()
    stage: Stage = quiet
    run.dispatcher = Dispatcher(run.settings, [stage])
    run.fire("A")
    run.fire("B")
    assert run.run(11) == [(10, "team", "firing", "B")]
    [held] = run.dispatcher.held.values()
    assert (held.alert.name, held.stage, held.why) == ("A", "silence", "silenced by the test")
    assert run.dispatcher.stages.counts == {"silence": 1}
    quiet.on = False
    quiet.version += 1
    assert run.run(60) == [(70, "team", "firing", "A B")]
    assert run.dispatcher.held == {}


def test_reconfiguring_neither_repeats_nor_forgets(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(12)
    run.dispatcher.reconfigure(run.settings, run.now)
    assert run.run(300) == []
    run.end("A")
    assert [told[2] for told in run.run(60)] == ["resolved"]


def test_reconfiguring_does_not_send_twice_what_is_under_way(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(10)
    [notification] = run.step()
    run.dispatcher.reconfigure(run.settings, run.now)
    assert run.step() == []
    assert run.dispatcher.record(notification, TOOK, run.now)


def test_a_clock_that_is_set_back_delays_nothing(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(12)
    run.answer = lambda _n: FAILED
    run.fire("B")
    run.run(70)
    run.answer = lambda _n: TOOK
    run.now -= 3_600_000
    assert [told[3] for told in run.run(5)] == ["A B"]
    run.fire("C")
    assert "C" in run.run(61)[0][3]


def test_a_clock_that_jumps_ahead_ends_nothing(night: Build) -> None:
    run = night()
    run.fire("A")
    run.run(12)
    run.now += 1_800_000
    assert run.run(10) == []


def test_what_a_removed_receiver_was_to_be_told_is_dropped_aloud(
    night: Build, caplog: pytest.LogCaptureFixture
) -> None:
    run = night(receivers=TWO)
    run.answer = lambda _n: FAILED
    run.fire("A")
    run.run(12)
    run.dispatcher.reconfigure(night().settings, run.now)
    assert "team (log[1]) is not configured any more" in caplog.text
    assert [n.delivery.integration for n in run.dispatcher.pending] == ["log[0]"]


def test_old_log_entries_are_forgotten(night: Build) -> None:
    run = night(fleetowl={"log_retention": "2h"})
    run.fire("A")
    run.run(12)
    run.end("A")
    run.run(30)
    assert len(run.dispatcher._flushing.log) == 1
    run.now += 3 * 3_600_000
    run.run(1)
    assert len(run.dispatcher._flushing.log) == 0


def test_samples_name_declared_metrics_only(night: Build) -> None:
    from alertmanager.metrics import METRICS

    run = night()
    run.fire("A")
    run.run(11)
    run.answer = lambda _n: FAILED
    run.fire("B")
    run.run(70)
    samples = list(run.dispatcher.samples(run.now))
    declared: dict[str, Any] = {metric.name: set(metric.labels) for metric in METRICS}
    assert {sample.name for sample in samples} <= set(declared)
    assert all(set(sample.labels) == declared[sample.name] for sample in samples)
    sent = [s.value for s in samples if s.name == "fleetowl_alertmanager_notifications_total"]
    assert sent == [1]
