"""Merging what is known with what comes in; the rows are the behaviours that Alertmanager's tests assert."""

from __future__ import annotations

import pytest

from alertmanager.alerts import Alerts, Span, merge
from model.alert import Alert
from model.labels import Labels

NOW = 1_000_000
LABELS = Labels({"alertname": "A"})


def alert(starts_at: int, ends_at: int | None = None, words: str = "", incident: str = "I1") -> Alert:
    return Alert(LABELS, {"summary": words}, starts_at, ends_at, incident=incident)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((100, None), (200, None), (100, None)),  # posted again with a later start
        ((200, None), (100, None), (100, None)),  # a later sender knows of an earlier start
        ((100, None), (100, 900), (100, 900)),  # resolved
        ((100, None), (300, 900), (100, 900)),  # resolved by one who saw it start later
        ((100, 900), (200, 800), (100, 900)),  # two ends: the later
        ((100, 800), (200, 900), (100, 900)),
        ((100, 500), (600, None), (600, None)),  # began again after its end: another life
        ((100, 500), (500, None), (500, None)),
        ((100, 500), (400, None), (100, None)),  # began again before its end: the same life
        ((100, NOW + 50), (200, NOW + 90), (100, NOW + 90)),  # an end in the future is moved on
        ((100, NOW + 90), (200, NOW + 50), (100, NOW + 90)),  # and not back
        ((100, NOW + 90), (200, NOW - 50), (100, NOW - 50)),  # but an end that has come is one
        ((100, 500), (50, 80), (50, 80)),  # wholly before: nothing in common
    ],
)
def test_merge(
    old: tuple[int, int | None], new: tuple[int, int | None], expected: tuple[int, int | None]
) -> None:
    merged = merge(Span(*old, old[1] or NOW + 250), Span(*new, new[1] or NOW + 300), NOW)
    assert merged == Span(*expected, expected[1] or NOW + 300)


def test_an_end_that_was_said_is_not_shortened_by_a_timeout() -> None:
    merged = merge(Span(100, NOW + 900, NOW + 900), Span(100, None, NOW + 300), NOW)
    assert merged == Span(100, None, NOW + 900)
    again = merge(merged, Span(100, None, NOW + 310), NOW + 10)  # by now it is a timeout itself
    assert again == Span(100, None, NOW + 310)


def test_new_words_alone_change_nothing_that_must_be_told_or_kept() -> None:
    alerts = Alerts(resolve_timeout=60_000)
    [key] = alerts.take(alert(NOW, words="1 GPU"), NOW)
    alerts.kept.saved()
    assert alerts.take(alert(NOW, words="2 GPUs"), NOW + 1000) == []
    assert alerts[key].annotations == {"summary": "2 GPUs"}
    assert not alerts.kept.dirty


def test_an_end_of_something_unknown_is_ignored() -> None:
    alerts = Alerts(resolve_timeout=60_000)
    assert alerts.take(alert(NOW - 10, NOW), NOW) == []
    assert list(alerts) == []


def test_an_end_without_incident_ends_the_current_episode() -> None:
    alerts = Alerts(resolve_timeout=60_000)
    [key] = alerts.take(alert(NOW), NOW)
    assert alerts.take(alert(NOW, NOW + 5, incident=""), NOW + 5) == [key]
    assert alerts[key].resolved_at(NOW + 5)


def test_the_end_of_an_older_episode_does_not_end_the_newer() -> None:
    alerts = Alerts(resolve_timeout=60_000)
    [older] = alerts.take(alert(NOW), NOW)
    assert alerts.take(alert(NOW + 5, incident="I2"), NOW + 5) == [older, (older[0], "I2")]
    alerts.take(alert(NOW, NOW + 4, incident="I1"), NOW + 5)
    assert not alerts[older[0], "I2"].resolved_at(NOW + 5)
    assert alerts[older].resolved_at(NOW + 5)


def test_silence_ends_an_alert_and_repetition_keeps_it() -> None:
    alerts = Alerts(resolve_timeout=60_000)
    [key] = alerts.take(alert(NOW), NOW)
    assert alerts.expire(NOW + 59_999) == []
    alerts.take(alert(NOW), NOW + 30_000)
    assert alerts.expire(NOW + 60_000) == []
    assert alerts.expire(NOW + 90_000) == [key]
    assert alerts.expire(NOW + 190_000) == []
    assert alerts.take(alert(NOW + 200_000), NOW + 200_000) == [key]
    assert alerts.expire(NOW + 260_000) == [key]
