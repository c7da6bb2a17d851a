"""A simulation does what the rooms do in real time, only faster; and a history is read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.settings import AlertmanagerSettings
from analyzer.alerting import compose
from analyzer.central import CentralSettings
from analyzer.simulation import History, Result, in_order, parse_history, simulate
from analyzer.simulation.run import TAKEN
from model.labels import format_fingerprint
from model.moment import MINUTE, SECOND
from model.settings import ConfigurationError, load_section
from model.topology import Topology

T0 = 1_795_132_800  # 2026-11-20T00:00:00Z, in seconds

ROUTE = {
    "receiver": "team",
    "group_by": ["alertname"],
    "group_wait": "10s",
    "group_interval": "1m",
    "repeat_interval": "30m",
}


def central(route: dict[str, Any] | None = None, **sections: Any) -> CentralSettings:
    data = {
        "route": {**ROUTE, **(route or {})},
        "receivers": [{"name": "team", "log_configs": [{}]}, {"name": "pager", "log_configs": [{}]}],
        "fleetowl": {"topology": False, "flap": False, "urgent_first": False, "resolve_wait": None},
        **sections,
    }
    return CentralSettings(alertmanager=load_section(AlertmanagerSettings, data, "alertmanager.yml"))


def line(second: float, name: str = "A", fault: object = None, **alert: Any) -> str:
    status = alert.pop("status", "firing")
    starts_at = alert.pop("startsAt", None)
    body = {"labels": {"alertname": name, **alert}, "status": status}
    if starts_at is not None:
        body["startsAt"] = T0 + starts_at
    return json.dumps({"at": T0 + second, "alert": body, "fault": fault})


def history(*lines: str) -> History:
    return parse_history(lines)


def told(result: Result) -> list[tuple[float, str, str]]:
    """Second, status and alerts (- ended) of what was sent."""
    return [
        (
            one.at / SECOND - T0,
            one.notification.status,
            " ".join(
                ("-" if alert.resolved_at(one.at) else "") + alert.name for alert in one.notification.alerts
            ),
        )
        for one in result.sent
    ]


def test_a_group_waits_repeats_and_ends() -> None:
    result = simulate(
        history(line(0, node="n1"), line(4, node="n2"), line(3000, node="n1", status="resolved")), central()
    )
    # n2 is not repeated and resolves after 5 min; n1 is known to go on until its end.
    assert told(result) == [
        (10, "firing", "A A"),
        (310, "firing", "A -A"),
        (2110, "firing", "A"),
        (3010, "resolved", "-A"),
    ]


def test_an_alert_that_begins_anew_after_silence_is_not_filled() -> None:
    again = history(line(0, startsAt=0), line(1000, startsAt=990), line(1100, status="resolved"))
    result = simulate(again, central())
    assert [verdict.ended_at for verdict in result.verdicts] == [(T0 + 300) * SECOND, (T0 + 1100) * SECOND]
    assert told(result)[1] == (310, "resolved", "-A")


def test_what_begins_again_untold_was_no_news() -> None:
    lines = [line(0), line(20, status="resolved"), line(30, startsAt=30), line(40, status="resolved")]
    first, again = simulate(history(*lines), central()).verdicts
    assert first.told
    assert again.why == "not told: it was no news, team believed that the earlier one still fired"


def test_the_figures_of_faults() -> None:
    result = simulate(
        history(
            line(0, "A", "rack"),
            line(1, "B", "rack"),
            line(2, "C", ["rack", "disk"]),
            line(3, "Blip", "blip"),
            line(5, "Blip", "blip", status="resolved"),
            line(200, "A", status="resolved"),
        ),
        central(),
    )
    rack, disk, blip = result.faults
    assert (rack.fault, rack.firing, rack.resolved, rack.first_page) == ("rack", 3, 3, 10 * SECOND)
    assert (disk.fault, disk.firing, disk.first_page) == ("disk", 1, 10 * SECOND)
    assert result.suppressed == [blip]
    assert blip.why == ("Blip: not told: it ended after 2s, before its group was due",)
    assert result.noise["raw"] == 6
    assert result.noise["deduplicated"] == 4
    assert result.noise["told"] == 3


def test_a_document_holds_everything() -> None:
    document = simulate(history(line(0, node="n1")), central()).document()
    (sent,) = document["notifications"]
    (alert,) = document["alerts"]
    assert sent["alerts"][0]["fingerprint"] == alert["fingerprint"]
    assert len(alert["fingerprint"]) == len(format_fingerprint(0))
    assert alert["why"] == "told to team after 10s"
    json.dumps(document)


def test_grouping_can_be_left_out() -> None:
    lines = history(line(0, node="n1"), line(0, node="n2"))
    assert len(simulate(lines, central()).sent) == 1
    assert len(simulate(lines, central(), off=["grouping"]).sent) == 2
    with pytest.raises(ValueError, match="'groping' cannot be left out"):
        simulate(lines, central(), off=["groping"])


INTERVAL = [{"name": "never", "time_intervals": [{"years": ["2099"]}]}]
RULE = {"source_matchers": ["alertname=A"], "target_matchers": ["alertname=B"]}


@pytest.mark.parametrize(
    ("stage", "sections"),
    [
        ("inhibit", {"inhibit_rules": [RULE]}),
        (
            "time_intervals",
            {
                "route": {"routes": [{"matchers": ["alertname=B"], "active_time_intervals": ["never"]}]},
                "time_intervals": INTERVAL,
            },
        ),
    ],
)
def test_a_stage_is_counted_and_can_be_left_out(stage: str, sections: dict[str, Any]) -> None:
    lines = history(line(0, "A", "one"), line(0, "B", "two"), line(60, "A"), line(60, "B"))
    result = simulate(lines, central(**sections))
    assert result.noise[stage] == 1
    (wrong,) = result.suppressed
    assert wrong.fault == "two"
    assert f"{stage} held it back" in wrong.why[0]
    without = simulate(lines, central(**sections), off=[stage])
    assert without.noise[stage] == 0
    assert without.suppressed == []


def test_until_ends_it() -> None:
    lines = history(line(0), line(5000, status="resolved"))
    assert told(simulate(lines, central(), until=(T0 + 20) * SECOND)) == [(10, "firing", "A")]


BLOCK = st.tuples(
    st.integers(0, 500), st.sampled_from("ABC"), st.sampled_from(["n1", "n2"]), st.booleans()
).map(lambda drawn: line(drawn[0], drawn[1], node=drawn[2], status="resolved" if drawn[3] else "firing"))


@settings(max_examples=10, deadline=None)
@given(st.lists(BLOCK, min_size=1, max_size=8))
def test_jumping_is_ticking(drawn: list[str]) -> None:
    """What leaves when time jumps is what leaves when every second is a tick."""
    given_history = history(*drawn)
    ours, until = central(), given_history.lines[-1].at + 4 * MINUTE
    jumped = simulate(given_history, ours, until=until)
    alerting = compose(ours, Topology(), {})
    ticked, waiting = [], list(given_history.lines)
    continued = _continued(given_history)
    for now in range(given_history.lines[0].at, until + 1, SECOND):
        alerts = [alert for at, alert in continued if at == now]
        while waiting and waiting[0].at <= now:
            alerts.append(waiting.pop(0).alert)
        for notification in alerting.notify(now, alerting.correlate(now, alerts)):
            ticked.append((now, notification.group_key, notification.firing, notification.resolved))
            alerting.answered(notification, TAKEN, now)
    found = [
        (sent.at, sent.notification.group_key, sent.notification.firing, sent.notification.resolved)
        for sent in jumped.sent
    ]
    assert found == ticked


def _continued(given_history: History) -> list[tuple[int, Any]]:
    """The repetitions that a sender would have made, as refreshes.py has them."""
    from analyzer.simulation.refreshes import Refreshes

    refreshes = Refreshes(given_history.lines, 150 * SECOND)
    for place, one in enumerate(given_history.lines):
        refreshes.took(place, one)
    found = []
    while (at := refreshes.next_at()) is not None:
        found += [(at, alert) for alert in refreshes.due(at)]
    return found


def test_late_lines_are_sorted_with_a_warning() -> None:
    lines = history(line(9), line(3), line(4))
    assert [one.at for one in lines.lines] == [(T0 + second) * SECOND for second in (3, 4, 9)]
    assert lines.warnings == ("1 line is older than the line before: all were sorted by `at`",)
    assert in_order(lines.lines).warnings == ()


@pytest.mark.parametrize(
    ("at", "milliseconds"),
    [
        (T0, T0 * 1000),
        (T0 + 0.25, T0 * 1000 + 250),
        (T0 * 1000, T0 * 1000),
        ("2026-11-20T01:00:00+01:00", T0 * 1000),
        (str(T0), T0 * 1000),
    ],
)
def test_moments_may_be_written_in_several_ways(at: object, milliseconds: int) -> None:
    (found,) = history(json.dumps({"at": at, "alert": {"alertname": "A"}})).lines
    assert (found.at, found.alert.starts_at, found.alert.ends_at) == (milliseconds, milliseconds, None)


def test_an_end_in_the_past_is_resolved_one_in_the_future_is_not() -> None:
    def alert(**times: str) -> str:
        return json.dumps({"at": T0, "alert": {"labels": {"alertname": "A"}, **times}})

    past, future, zero = history(
        alert(startsAt="2026-11-19T23:00:00Z", endsAt="2026-11-20T00:00:00Z"),
        alert(endsAt="2026-11-20T00:05:00Z"),
        alert(startsAt="0001-01-01T00:00:00Z", endsAt="0001-01-01T00:00:00Z"),
    ).lines
    assert past.alert.resolved_at(past.at)
    assert future.alert.ends_at == (T0 + 300) * SECOND
    assert (zero.alert.starts_at, zero.alert.ends_at) == (T0 * SECOND, None)


BAD = {
    "nonsense": "is not JSON",
    "[1]": "is a list, not an object",
    '{"alert": {"a": "b"}}': "has no at",
    '{"at": 1}': "has no alert",
    '{"at": true, "alert": {"a": "b"}}': "at is True: write RFC 3339 or Unix seconds",
    '{"at": NaN, "alert": {"a": "b"}}': "that is no time between 1970 and 2286",
    '{"at": "2026-11-20", "alert": {"a": "b"}}': "has no time zone",
    '{"at": 1, "alert": {}}': "alert has no labels",
    '{"at": 1, "alert": {"a": 1}}': "alert.labels.a is 1, not text",
    '{"at": 1, "alert": {"labels": {"a": "b"}, "status": "on"}}': "alert.status is 'on'",
    '{"at": 1, "alert": {"labels": {"a": "b"}, "startAt": 1}}': "unknown key 'startAt'",
    '{"at": 1, "alert": {"a": "b"}, "fault": {}}': "fault is {}",
    '{"at": 1, "alert": {"a": "b"}, "falt": null}': "unknown key 'falt'",
}


def test_every_bad_line_is_named() -> None:
    lines = [line(1), *BAD, line(2)]
    with pytest.raises(ConfigurationError) as raised:
        parse_history(lines, "night.jsonl")
    problems = raised.value.problems
    assert [problem.key for problem in problems] == [f"line {number}" for number in range(2, 2 + len(BAD))]
    for problem, expected in zip(problems, BAD.values(), strict=True):
        assert expected in problem.message


def test_an_empty_history_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="holds no alert"):
        parse_history([b"", b"  "])
