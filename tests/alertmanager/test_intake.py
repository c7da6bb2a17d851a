"""Alerts from the bytes of a POST: Alertmanager's rules, and what does not get through."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertmanager.fingerprints import prefill
from alertmanager.intake import CUT, LATEST, Limits, MalformedBody, Taken, decode, encode
from model.labels import Labels

NOW = 1_795_000_000_000
AT = "2026-11-18T10:00:00Z"
AT_MS = 1_794_996_000_000


def body(*alerts: Any) -> bytes:
    return json.dumps(alerts).encode()


def take(*alerts: Any, limits: Limits | None = None) -> Taken:
    return decode(body(*alerts), NOW, limits)


def test_an_alert_as_prometheus_sends_it() -> None:
    sent = {
        "labels": {"alertname": "A", "empty": "", "severity": "critical"},
        "annotations": {"summary": "x"},
        "startsAt": "2026-11-18T10:00:00.123456789Z",
        "endsAt": "2026-11-18T11:04:00.5+01:00",
        "generatorURL": "http://prometheus/graph",
        "newer": {"field": 1},
    }
    [alert] = take(sent).alerts
    assert dict(alert.labels) == {"alertname": "A", "severity": "critical"}
    assert (alert.starts_at, alert.ends_at) == (AT_MS + 123, AT_MS + 240_500)
    assert (alert.annotations, alert.generator_url) == ({"summary": "x"}, "http://prometheus/graph")
    assert alert.tier.name == "P1"


ZERO = "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, (NOW, None)),
        ({"startsAt": ZERO, "endsAt": ZERO}, (NOW, None)),
        ({"startsAt": None, "endsAt": None}, (NOW, None)),
        ({"startsAt": AT}, (AT_MS, None)),
        ({"endsAt": AT}, (AT_MS, AT_MS)),
        ({"endsAt": "2100-01-01T00:00:00Z"}, (NOW, 4_102_444_800_000)),
        ({"startsAt": "1970-01-01T00:00:00Z"}, (0, None)),
        ({"startsAt": "1900-01-01T00:00:00Z"}, (0, None)),
        ({"startsAt": AT, "endsAt": "9999-12-31T23:59:59Z"}, (AT_MS, LATEST)),
        ({"startsAt": AT, "endsAt": AT}, (AT_MS, AT_MS)),
    ],
)
def test_times_that_are_not_given_or_far_away(times: dict[str, Any], expected: tuple[int, int]) -> None:
    [alert] = take({"labels": {"a": "b"}, **times}).alerts
    assert (alert.starts_at, alert.ends_at) == expected


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"labels": {}}, "at least one label pair required"),
        ({"labels": {"a": ""}}, "at least one label pair required"),
        ({"labels": {"": "b", "x": "y"}}, 'invalid name ""'),
        (
            {"labels": {"a": "b"}, "startsAt": AT, "endsAt": "2026-11-18T09:00:00Z"},
            "start time must be before",
        ),
        ({"labels": {"a": "b"}, "startsAt": "yesterday"}, "alert 1: Invalid RFC3339"),
        ({"labels": {"a": 1}}, "alert 1: Expected `str`"),
        ({}, "alert 1: .*missing required field `labels`"),
        ("text", "alert 1: Expected `object`"),
        ({"labels": {f"l{n}": "x" for n in range(200)}}, "200 labels, and 128 are the most"),
        ({"labels": {"a": "x" * 5000}}, "a label is longer than 4KiB"),
    ],
)
def test_an_invalid_alert_does_not_take_the_others_with_it(wrong: Any, why: str) -> None:
    found = take({"labels": {"good": "1"}}, wrong, {"labels": {"good": "2"}})
    assert [alert.labels.value("good") for alert in found.alerts] == ["1", "2"]
    assert found.refused == 1
    with pytest.raises(ValueError, match=why):
        raise ValueError(found.reasons[0])


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{",
        b"{}",
        b"null",
        b'"x"',
        b"[{]",
        b'[{"labels":{"a":"\xff"}}]',
        b'[{"labels":{"a":1}},{"labels":{"a":"\xff"}}]',
    ],
)
def test_what_is_no_array_in_utf8_is_refused_as_a_whole(wrong: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(wrong, NOW)


def test_the_same_reason_is_told_once_and_ten_at_most() -> None:
    found = take(*[{"labels": {}}] * 50)
    assert (found.refused, found.reasons) == (50, ("at least one label pair required",))
    assert len(take(*[{"labels": {"a": n}} for n in range(50)]).reasons) == 10


def test_a_long_annotation_is_cut_with_a_mark() -> None:
    found = take(
        {"labels": {"a": "b"}, "annotations": {"long": "x" * 100, "short": "y"}}, limits=Limits(annotation=50)
    )
    assert found.cut == 1
    assert found.alerts[0].annotations["short"] == "y"
    assert found.alerts[0].annotations["long"] == "x" * (50 - len(CUT)) + CUT


def test_equal_labels_of_many_alerts_are_one_object() -> None:
    first, second = take({"labels": {"a": "b", "n": "1"}}, {"labels": {"a": "b", "n": "2"}}).alerts
    assert first.labels.pairs[0] is second.labels.pairs[0]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = TEXTS.filter(bool)


@given(st.lists(st.dictionaries(NAMES, TEXTS, max_size=4), max_size=5), st.integers(0, LATEST))
def test_what_is_encoded_is_read_back(labels: list[dict[str, str]], starts_at: int) -> None:
    sent = [{"labels": one, "annotations": one, "startsAt": AT} for one in labels]
    alerts = take(*sent).alerts
    assert decode(encode(alerts), NOW).alerts == alerts


@given(st.binary(max_size=60))
def test_no_bytes_are_a_crash(sent: bytes) -> None:
    with suppress(MalformedBody):
        decode(b"[" + sent + b"]", NOW)


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_fingerprints_of_many_are_those_of_each(texts: list[str]) -> None:
    many = [Labels({f"l{n % 3}": text * (n % 5), text: "x"}) for n in range(9) for text in texts * 4]
    many.append(Labels({"long": "x" * 5000}))
    prefill(many)
    assert "fingerprint" in many[0].__dict__
    assert [one.fingerprint for one in many[::7]] == [Labels(dict(one)).fingerprint for one in many[::7]]


@pytest.mark.parametrize(
    ("alert", "name", "starts_at"),
    [
        (r'{"labels":{"alertname":"\ud800x"}}', "\ufffdx", NOW),
        (r'{"labels":{"alertname":"\ud83d\ude00\ude00"}}', "\U0001f600\ufffd", NOW),
        (r'{"labels":{"alertname":"\\ud800"}}', r"\ud800", NOW),
        ('{"labels":{"alertname":"x","y":null},"annotations":{"z":null}}', "x", NOW),
        ('{"labels":{"alertname":"x"},"startsAt":"","endsAt":""}', "x", NOW),
        ('{"labels":{"alertname":"x"},"startsAt":"2026-01-02T03:04:05"}', "x", 1_767_323_045_000),
    ],
)
def test_it_is_as_lenient_as_alertmanager(alert: str, name: str, starts_at: int) -> None:
    good = '{"labels":{"alertname":"good"}}'
    found = decode(f"[{alert},{good}]".encode(), NOW).alerts
    assert [(one.name, one.starts_at) for one in found] == [(name, starts_at), ("good", NOW)]
    assert set(found[0].labels.pairs) == {("alertname", name)}


def test_what_would_time_out_before_it_begins_is_refused() -> None:
    body = b'[{"labels":{"alertname":"x"},"startsAt":"2999-01-01T00:00:00Z"}]'
    assert decode(body, NOW, Limits(ahead=300_000)).reasons == ("start time must be before end time",)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'[{"labels":' * 50_000])
def test_a_body_without_bottom_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(body, NOW)
