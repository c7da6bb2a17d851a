"""What Alertmanager's acceptance tests assert, in virtual time and with a plain alertmanager.yml.

The order is that of its tests: merging, repetition, retries, batches, the resolve timeout, send_resolved,
inhibition, silences. Its start delay and its cluster have no counterpart here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alertmanager.configuration_file import load_file
from alertmanager.dispatch import Dispatcher
from alertmanager.inhibit import Inhibition
from alertmanager.matching import parse_matchers
from alertmanager.notification import Notification, Outcome
from alertmanager.silences import Draft, Silences
from model.alert import Alert
from model.labels import Labels
from tests.alertmanager.night import FAILED, T0, TOOK, Night

ROUTE = {"receiver": "team", "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
HOOK = {"url": "http://127.0.0.1:9/"}
Plain = Callable[..., Night]


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    def build(receivers: list[dict[str, Any]] | None = None, **keys: Any) -> Night:
        route = {**ROUTE, **keys.pop("route", {})}
        whole = {"route": route, "receivers": receivers or [{"name": "team", "webhook_configs": [HOOK]}]}
        path = tmp_path / "alertmanager.yml"
        path.write_text(json.dumps({**whole, **keys}))
        night = Night(load_file(path))
        assert night.settings.plain
        inhibition, silences = Inhibition(night.settings.inhibit_rules), Silences()
        night.dispatcher = Dispatcher(night.settings, [silences, inhibition])
        night.silences = silences  # type: ignore[attr-defined]
        return night

    return build


def post(night: Night, name: str, start: int, end: int | None = None, **labels: str) -> None:
    """What a client posts at this moment; seconds of the night."""
    begin, over = T0 + start * 1000, None if end is None else T0 + end * 1000
    night.ended.append(Alert(Labels({"alertname": name, **labels}), {"at": str(night.now)}, begin, over))


def at(night: Night, second: int) -> None:
    night.run(second - (night.now - T0) // 1000)


def story(night: Night) -> list[tuple[int, str]]:
    """Second and alerts (- = ended) of what was sent, without repetitions of an attempt."""
    return [
        ((n.at - T0) // 1000, " ".join(("-" if a.resolved_at(n.at) else "") + a.name for a in n.alerts))
        for _, n in night.sent
        if n.attempt == 1
    ]


def test_the_earliest_start_and_the_newest_words_are_merged(plain: Plain) -> None:
    night = plain()
    post(night, "A", start=0)
    at(night, 2)
    post(night, "A", start=1)  # a later start is of no interest
    post(night, "B", start=2)
    at(night, 4)
    told = {alert.name: alert for alert in night.sent[-1][1].alerts}
    assert told["A"].starts_at == T0
    assert told["A"].annotations["at"] == str(T0 + 2000)
    post(night, "A", start=-5)  # an earlier one is the truth
    post(night, "C", start=4)
    at(night, 6)
    assert night.sent[-1][1].alerts[0].starts_at == T0 - 5000


def test_of_two_ends_the_later_is_told(plain: Plain) -> None:
    night = plain(route={"group_interval": "10s"})
    post(night, "A", start=0)
    at(night, 3)
    post(night, "A", start=0, end=3)
    post(night, "A", start=0, end=2)
    at(night, 20)
    [ended] = night.sent[-1][1].alerts
    assert ended.ends_at == T0 + 3000


def test_an_alert_that_fires_again_after_its_end_begins_anew(plain: Plain) -> None:
    night = plain(route={"group_interval": "10s"})
    post(night, "A", start=0)
    at(night, 2)
    post(night, "A", start=0, end=2)
    at(night, 4)
    post(night, "A", start=4)
    at(night, 15)
    assert story(night) == [(1, "A")]  # it fired at both flushes: nothing to tell
    assert night.dispatcher.alerts[0].starts_at == T0 + 4000


def test_an_end_that_every_repetition_moves_on_is_none_until_they_stop(plain: Plain) -> None:
    night = plain()
    for second in range(8):
        post(night, "A", start=0, end=second + 3)
        at(night, second + 1)
    at(night, 20)
    assert story(night) == [(1, "A"), (10, "-A")]
    assert night.sent[0][1].alerts[0].ends_at is None  # what fires has no end in a message


def test_repeat_interval_below_group_interval_repeats_with_the_group(plain: Plain) -> None:
    night = plain(route={"group_interval": "5s", "repeat_interval": "1s"})
    post(night, "A", start=0)
    at(night, 13)
    post(night, "A", start=0, end=13)
    at(night, 40)
    assert story(night) == [(1, "A"), (6, "A"), (11, "A"), (16, "-A")]


def test_a_receiver_that_fails_does_not_make_the_other_hear_twice(plain: Plain) -> None:
    night = plain([{"name": "team", "webhook_configs": [HOOK, HOOK]}], route={"group_interval": "10s"})
    left = {"failures": 2}

    def answer(notification: Notification) -> Outcome:
        if notification.delivery.integration == "webhook[1]" and left["failures"]:
            left["failures"] -= 1
            return FAILED
        return TOOK

    night.answer = answer
    post(night, "A", start=0)
    at(night, 60)
    heard = [n.delivery.integration for _, n in night.sent]
    assert heard.count("webhook[0]") == 1
    assert heard.count("webhook[1]") == 3
    assert night.dispatcher.pending == []


def test_batches(plain: Plain) -> None:
    night = plain(route={"group_wait": "3s", "group_interval": "5s"})
    post(night, "A", start=0)
    at(night, 1)
    post(night, "B", start=1)
    at(night, 5)
    post(night, "C", start=5)
    at(night, 60)
    assert story(night) == [(3, "A B"), (8, "A B C")]


def test_what_nobody_repeats_is_over_after_the_resolve_timeout(plain: Plain) -> None:
    night = plain(**{"global": {"resolve_timeout": "10s"}}, route={"group_interval": "6s"})
    post(night, "A", start=0)
    at(night, 30)
    assert story(night) == [(1, "A"), (13, "-A")]


def test_without_send_resolved_the_end_is_noted_and_the_next_start_is_news(plain: Plain) -> None:
    night = plain([{"name": "team", "webhook_configs": [{**HOOK, "send_resolved": False}]}])
    post(night, "A", start=0)
    at(night, 3)
    post(night, "A", start=0, end=3)
    at(night, 6)
    post(night, "A", start=6)
    at(night, 10)
    assert story(night) == [(1, "A"), (7, "A")]


def test_a_group_is_flushed_at_once_when_its_wait_is_past(plain: Plain) -> None:
    night = plain(route={"group_wait": "30s", "group_interval": "5m"})
    post(night, "A", start=-31)
    at(night, 1)
    assert story(night) == [(0, "A")]


def test_a_p0_and_a_quiet_group_wait_as_any_other(plain: Plain) -> None:
    night = plain(route={"group_wait": "10s", "group_interval": "1m"})
    post(night, "A", start=0, tier="P0")
    at(night, 11)
    post(night, "A", start=0, end=11, tier="P0")
    at(night, 80)
    assert story(night) == [(10, "A"), (70, "-A")]


def test_routes_see_what_was_sent_and_no_implied_tier(plain: Plain) -> None:
    night = plain(route={"routes": [{"receiver": "team", "matchers": ['tier="P1"'], "group_wait": "5s"}]})
    post(night, "A", start=0, severity="critical")
    post(night, "B", start=0, tier="P1")
    at(night, 10)
    assert story(night) == [(1, "A"), (5, "B")]


RULE = {"source_matchers": ['alertname="Cause"'], "target_matchers": ['alertname="Effect"'], "equal": ["n"]}


def test_a_target_is_held_once_its_source_is_there_and_returns_when_it_ends(plain: Plain) -> None:
    night = plain(inhibit_rules=[RULE], route={"group_by": ["n"], "group_interval": "5s"})
    post(night, "Effect", start=0, n="1")
    at(night, 2)
    post(night, "Cause", start=2, n="1")
    post(night, "Other", start=2, n="1")
    at(night, 7)
    post(night, "Cause", start=2, end=7, n="1")
    at(night, 20)
    assert story(night) == [(1, "Effect"), (6, "Cause Other"), (11, "Effect -Cause Other")]


def test_source_and_target_that_end_together_are_told_together(plain: Plain) -> None:
    night = plain(inhibit_rules=[RULE], route={"group_by": ["n"], "group_interval": "5s"})
    post(night, "Effect", start=0, n="1")
    at(night, 2)
    post(night, "Cause", start=2, n="1")
    at(night, 7)
    post(night, "Cause", start=2, end=7, n="1")
    post(night, "Effect", start=0, end=7, n="1")
    at(night, 20)
    assert story(night) == [(1, "Effect"), (6, "Cause"), (11, "-Effect -Cause")]


def test_a_silence_takes_out_what_it_matches_until_it_ends(plain: Plain) -> None:
    night = plain(route={"group_interval": "5s"})
    silences: Silences = night.silences  # type: ignore[attr-defined]
    draft = Draft(tuple(parse_matchers('alertname="A"')), T0, T0 + 8_000, "me", "work")
    silences.set(draft, T0)
    post(night, "A", start=0)
    post(night, "B", start=0)
    at(night, 3)
    assert [held.stage for held in night.dispatcher.held.values()] == ["silence"]
    at(night, 20)
    assert story(night) == [(1, "B"), (11, "A B")]


def test_a_silence_that_is_deleted_holds_nothing_at_the_next_flush(plain: Plain) -> None:
    night = plain(route={"group_interval": "5s"})
    silences: Silences = night.silences  # type: ignore[attr-defined]
    change = silences.set(Draft(tuple(parse_matchers('alertname="A"')), T0, T0 + 3_600_000, "me", "work"), T0)
    post(night, "A", start=0)
    at(night, 4)
    assert story(night) == []
    silences.expire(change.id, night.now)
    at(night, 10)
    assert story(night) == [(6, "A")]


def test_a_muted_route_sends_nothing_and_notes_nothing(plain: Plain) -> None:
    always = {"name": "always", "time_intervals": [{"months": ["1:12"]}]}
    night = plain(
        time_intervals=[always],
        route={
            "routes": [
                {"matchers": ['alertname="A"'], "mute_time_intervals": ["always"]},
                {"matchers": ['alertname="B"'], "active_time_intervals": ["always"]},
            ]
        },
    )
    post(night, "A", start=0)
    post(night, "B", start=0)
    at(night, 5)
    assert story(night) == [(1, "B")]
    [held] = night.dispatcher.held.values()
    assert (held.alert.name, held.stage) == ("A", "time_intervals")
    assert "always" in held.why
    assert night.dispatcher.noise()["muted"] == 1
    assert night.dispatcher.noise()["notified"] == 1
    at(night, 200)
    post(night, "A", start=0, end=200)
    at(night, 210)
    assert night.dispatcher._flushing.holding == {}
