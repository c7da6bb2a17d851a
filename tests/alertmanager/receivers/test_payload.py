"""No message is larger than the cap, and none leaves an alert uncounted."""

from __future__ import annotations

import json
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from alertmanager.notification import Brief
from alertmanager.receivers.payload import LEAST, Writer
from model.alert import Alert
from model.labels import Labels
from tests.alertmanager.receivers.told import BRIEF, GONE, LOST, T0, told

TEXTS = st.one_of(
    st.text(max_size=30),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=3), st.integers(0, 2500)),
    st.sampled_from(["\ud800", "\x00" * 3000, "ü€🙂" * 900, '"\\' * 2000]),
)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=6)
LABELS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
    st.builds(
        lambda text, times: text * times,
        st.text(st.characters(codec="utf-8"), max_size=9),
        st.integers(0, 300),
    ),
    max_size=4,
)
ALERTS = st.builds(
    lambda number, labels, annotations, end, url: Alert(
        Labels({**labels, "n": str(number)}), annotations, T0, end, generator_url=url
    ),
    st.integers(0, 10**6),
    LABELS,
    PAIRS,
    st.sampled_from([None, T0 + 5, T0 + 10**9]),
    TEXTS,
)
BRIEFS = st.builds(Brief, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS, TEXTS)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(ALERTS, max_size=8),
    st.integers(1, 6),
    TEXTS,
    st.lists(BRIEFS, max_size=2).map(tuple),
    LABELS,
    TEXTS,
    st.integers(LEAST, 5 * LEAST),
)
@example([], 1, "", (), {}, "", LEAST)
def test_any_notification_fits_and_counts_all(
    alerts: list[Alert],
    times: int,
    headline: str,
    briefs: tuple[Brief, ...],
    group: dict[str, str],
    key: str,
    cap: int,
) -> None:
    what = told(alerts * times, headline=headline, briefs=briefs, group_labels=Labels(group), group_key=key)
    body = Writer("https://owl.example/" + "x" * 50, cap).write(what)
    assert len(body) <= cap
    sent = json.loads(body.decode())
    assert len(sent["alerts"]) + sent["truncatedAlerts"] == len(what.alerts)
    assert not alerts or sent["alerts"]


def storm(count: int, size: int = 400) -> list[Alert]:
    return [
        Alert(
            Labels({"alertname": "A", "tier": f"P{number % 4}", "gpu": str(number)}),
            {"summary": "x" * size},
            T0,
            T0 + 1 if number % 2 else None,
        )
        for number in range(count)
    ]


def test_firing_and_urgent_alerts_are_kept() -> None:
    what = told(storm(2000), group_labels=Labels({"alertname": 'A"&'}))
    sent = json.loads(Writer("https://owl.example", 64 << 10).write(what))
    assert {alert["status"] for alert in sent["alerts"]} == {"firing"}
    assert sent["alerts"][0]["labels"]["tier"] == "P0"
    tiers = [alert["labels"]["tier"] for alert in sent["alerts"]]
    assert tiers == sorted(tiers)
    assert len(sent["alerts"]) > 80
    assert sent["fleetowl"]["rest"] == "https://owl.example/api/v2/alerts?filter=alertname%3D%22A%5C%22%26%22"


def test_one_alert_with_a_megabyte_is_cut_inside() -> None:
    alert = Alert(LOST.labels, {**LOST.annotations, "description": "y" * (1 << 20)}, T0)
    body = Writer("", 64 << 10).write(told([alert]))
    assert len(body) <= 64 << 10
    [sent] = json.loads(body)["alerts"]
    assert sent["annotations"]["summary"] == LOST.annotations["summary"]
    assert sent["annotations"]["description"].endswith("y… (1048576 characters)")
    assert json.loads(body)["truncatedAlerts"] == 0


def test_without_a_cap_nothing_is_cut_or_added() -> None:
    what = told(storm(2000))
    sent = json.loads(Writer("https://owl.example").write(what))
    assert len(sent["alerts"]) == 2000
    assert "fleetowl" not in sent
    assert [alert["labels"]["gpu"] for alert in sent["alerts"]] == [str(number) for number in range(2000)]


def test_a_receiver_is_named_as_alertmanager_names_it() -> None:
    from dataclasses import replace

    what = told()
    other = replace(what, delivery=what.delivery._replace(receiver="a.b(c)"))
    assert json.loads(Writer().write(other))["receiver"] == r"a\.b\(c\)"


def test_what_an_incident_says_is_in_the_message() -> None:
    sent = json.loads(Writer().write(told(headline="P1: n1 lost", briefs=(BRIEF,))))
    assert sent["fleetowl"]["headline"] == "P1: n1 lost"
    assert sent["fleetowl"]["briefs"][0]["ack_url"] == BRIEF.ack_url
    assert sent["fleetowl"]["tier"] == "P1"


def test_zero_alerts_are_a_message_too() -> None:
    sent = json.loads(Writer("", 64 << 10).write(told([], headline="12 P3 alerts since yesterday")))
    assert (sent["alerts"], sent["truncatedAlerts"], sent["commonLabels"]) == ([], 0, {})


def test_a_large_message_costs_little() -> None:
    """The aim is 2 ms of CPU for a message of 60 KiB; ten times that is a mistake in the algorithm."""
    writer, what = Writer("https://owl.example", 64 << 10), told(storm(130, 200))
    assert 40 << 10 < len(writer.write(what)) <= 64 << 10
    began = time.process_time()
    for _ in range(20):
        writer.write(what)
    assert (time.process_time() - began) / 20 < 0.02
    fresh = [told([*storm(130, 200), GONE]) for _ in range(5)]
    began = time.process_time()
    for one in fresh:
        writer.write(one)
    assert (time.process_time() - began) / 5 < 0.06
