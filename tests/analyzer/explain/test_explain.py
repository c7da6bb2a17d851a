"""Why did this page, and why did that not: the answer names the cause, and asking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alertmanager.notification import Outcome
from alertmanager.silences.silence import Draft
from analyzer.explain.explainer import Explainer
from analyzer.explain.history import history_lines
from analyzer.pipeline import Pipeline
from analyzer.simulation import parse_history
from model.alert import Alert
from model.labels import Labels
from model.matcher import Matcher, Op
from model.moment import HOUR
from telemetry.ingest import TargetIngest
from tests.analyzer.conftest import START

RULES = """
groups:
  - name: heat
    interval: 1s
    rules:
      - alert: Hot
        expr: max by (room) (temperature) - 10 > 70
        for: 3s
        labels: {tier: P1, team: facility}
      - alert: Mains
        expr: mains == 0
        labels: {tier: P1}
"""
ALERTING = {
    "route": {
        "receiver": "log",
        "group_by": ["alertname"],
        "group_wait": "2s",
        "group_interval": "15s",
        "routes": [
            {"matchers": ['team="network"'], "receiver": "network"},
            {"matchers": ['team="facility"'], "receiver": "facility", "routes": [
                {"matchers": ['room="attic"'], "receiver": "nobody"},
            ]},
            {"matchers": ['tier="P1"'], "receiver": "log"},
        ],
    },
    "inhibit_rules": [
        {"name": "mains", "source_matchers": ["alertname=Mains"], "target_matchers": ["alertname=Hot"]}
    ],
    "receivers": [
        {"name": "log", "log_configs": [{}]},
        {"name": "network", "log_configs": [{}]},
        {"name": "facility", "log_configs": [{}]},
        {"name": "nobody"},
    ],
}  # fmt: skip
YES = Outcome(ok=True, retry=False, answer="200 OK")
NO = Outcome(ok=False, retry=True, answer="503 Service Unavailable")


class House:
    """Rooms with thermometers, and the pipeline that watches them."""

    def __init__(self, make: Callable[..., Pipeline], tmp_path: Path) -> None:
        self.rules = tmp_path / "heat.rules.yml"
        self.rules.write_text(RULES)
        self._make = make
        self.now = START
        self.answer = YES
        self.alerting: dict[str, Any] = ALERTING
        self.start()

    def start(self) -> None:
        rules = {"shipped": False, "files": [str(self.rules)]}
        self.pipeline = self._make(self.now, rules=rules, alertmanager=self.alerting)
        labels = Labels({"job": "rooms", "instance": "house"})
        self._ingest = TargetIngest(self.pipeline.window, "house", 1000, labels)

    def run(self, seconds: int, mains: int = 1, **rooms: float) -> None:
        for _ in range(seconds):
            self.now += 1000
            self.pipeline.window.advance(self.now)
            page = "".join(f'temperature{{room="{room}"}} {heat}\n' for room, heat in rooms.items())
            self._ingest.ingest(f"{page}mains {mains}\n".encode(), self.now)
            for notification in self.pipeline.step(self.now).notifications:
                self.pipeline.answered(notification, self.answer, self.now)
            self.pipeline.keep()

    def explain(self, asked: str) -> dict[str, Any]:
        found = Explainer(self.pipeline, self.now).alert(asked)
        assert found is not None
        json.dumps(found)
        first: dict[str, Any] = found["alerts"][0]
        return first


@pytest.fixture
def house(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> House:
    return House(make_pipeline, tmp_path)


def test_an_alert_that_paged_tells_the_whole_chain(house: House) -> None:
    house.run(10, cellar=90.0, attic=20.0)
    found = house.explain("Hot")
    assert found["verdict"].startswith("Hot paged facility at 2027-01-15T08:00:06.000Z, 2s after it began")
    assert "facility (log[0]) took it at" in found["verdict"]
    source = found["source"]
    assert (source["kind"], source["group"], source["for"]) == ("rule", "heat", "3s")
    assert source["file"] == str(house.rules)
    at_start, now = source["values"]
    parts = {part["expression"]: part["series"] for part in now["parts"]}
    assert parts == {
        "max by (room) (temperature) - 10 > 70": [{"series": '{room="cellar"}', "value": "80"}],
        "max by (room) (temperature) - 10": [
            {"series": '{room="cellar"}', "value": "80"},
            {"series": '{room="attic"}', "value": "10"},
        ],
        "max by (room) (temperature)": [
            {"series": '{room="cellar"}', "value": "90"},
            {"series": '{room="attic"}', "value": "20"},
        ],
        "temperature": [
            {"series": 'temperature{instance="house", job="rooms", room="cellar"}', "value": "90"},
            {"series": 'temperature{instance="house", job="rooms", room="attic"}', "value": "20"},
        ],
    }
    assert at_start["at"] == found["starts_at"]
    assert [state["state"] for state in found["states"]] == ["pending", "firing"]
    (group,) = found["groups"]
    assert (group["receiver"], group["in"]) == ("facility", "11s")
    (told,) = found["notifications"]
    assert told["attempts"][0]["answer"] == "200 OK"
    assert found["story"].splitlines()[0] == found["verdict"]


def test_the_route_says_of_every_node_why(house: House) -> None:
    house.run(10, cellar=90.0)
    steps = [
        (step["route"], step["taken"], step["final"], step["why"]) for step in house.explain("Hot")["route"]
    ]
    assert steps == [
        ("root", True, False, "it takes every alert"),
        ('{team="network"}', False, False, "team=\"network\" does not match: team is 'facility'"),
        ('{team="facility"}', True, True, "team is 'facility'; none of the routes below it does"),
        ('{room="attic"}', False, False, "room=\"attic\" does not match: room is 'cellar'"),
        (
            '{tier="P1"}',
            False,
            False,
            'it was not asked: {team="facility"} took the alert and does not continue',
        ),
    ]


def test_a_silenced_alert_names_the_silence_and_its_comment(house: House) -> None:
    house.run(1, cellar=20.0)
    matchers = (Matcher("alertname", Op.EQUAL, "Hot"),)
    draft = Draft(matchers, house.now, house.now + HOUR, "eve", "we are painting")
    silence = house.pipeline.alerting.silences.set(draft, house.now).id
    house.run(20, cellar=90.0)
    found = house.explain('{room="cellar"}')
    assert found["verdict"].startswith("Hot pages nobody: the silence stage holds it back: ")
    assert silence in found["verdict"]
    assert "we are painting" in found["verdict"]
    assert found["holds"][0]["stage"] == "silence"
    assert found["notifications"] == []


def test_an_inhibited_alert_names_rule_and_source(house: House) -> None:
    house.run(20, mains=0, cellar=90.0)
    assert "inhibit rule mains" in house.explain("Hot")["verdict"]
    assert 'alertname="Mains"' in house.explain("Hot")["verdict"]
    assert house.explain("Mains")["verdict"].startswith("Mains paged log at")


def test_one_that_was_told_and_is_held_now_says_both(house: House) -> None:
    house.run(10, cellar=90.0)
    house.run(20, mains=0, cellar=90.0)
    verdict = house.explain("Hot")["verdict"]
    assert verdict.startswith("Hot paged facility at 2027-01-15T08:00:06.000Z, and is held back since: ")


def test_why_it_has_not_paged_yet(house: House) -> None:
    house.run(2, cellar=90.0)
    assert "it has not fired yet; it is pending since" in house.explain("Hot")["verdict"]
    house.run(3, cellar=90.0)
    found = house.explain("Hot")
    assert found["verdict"].startswith("Hot paged nobody: its group is due at")
    assert "(group_wait is 2s)" in found["verdict"]


def test_what_holds_it_back_is_said_before_its_group_is_due(house: House) -> None:
    house.run(4, mains=0, cellar=90.0)
    assert house.pipeline.dispatcher.held == {}
    assert house.explain("Hot")["verdict"].startswith("Hot pages nobody: the inhibit stage holds it back: ")


def test_one_that_ended_too_soon_is_remembered(house: House) -> None:
    house.run(5, cellar=90.0)
    house.run(30, cellar=20.0)
    assert "Hot paged nobody: it ended after 2s, before its group was due" in house.explain("Hot")["verdict"]


def test_a_notification_of_an_earlier_one_is_none_of_this_one(house: House) -> None:
    house.run(10, cellar=90.0)
    house.run(2, cellar=20.0)
    house.run(5, cellar=90.0)
    assert house.explain("Hot")["verdict"] == (
        "Hot paged nobody: it was no news: facility still believes that the earlier one fires, told at "
        "2027-01-15T08:00:06.000Z."
    )
    house.run(1, cellar=20.0)
    verdict = house.explain("Hot")["verdict"]
    assert "it was no news: facility still believed" in verdict
    assert "before its group was due" not in verdict


def test_each_receiver_has_a_verdict_of_its_own(house: House) -> None:
    team = {"matchers": ['team="facility"']}
    house.alerting = ALERTING | {
        "time_intervals": [{"name": "always", "time_intervals": [{}]}],
        "route": {
            "receiver": "log",
            "group_by": ["alertname"],
            "group_wait": "2s",
            "routes": [
                team | {"receiver": "facility", "continue": True},
                team | {"receiver": "network", "mute_time_intervals": ["always"]},
            ],
        },
    }
    house.start()
    house.run(10, cellar=90.0)
    verdict = house.explain("Hot")["verdict"]
    assert verdict.startswith("Hot paged facility at 2027-01-15T08:00:06.000Z, 2s after it began: ")
    assert "held back since" not in verdict
    assert "network was not told: the time_intervals stage holds it back from there: " in verdict


def test_one_in_the_list_of_another_was_named_in_its_page(house: House) -> None:
    house.alerting = ALERTING | {
        "route": {"receiver": "log", "group_by": ["tier"], "group_wait": "5s"},
        "inhibit_rules": [],
    }
    house.start()
    house.run(12, mains=0, cellar=90.0)
    assert house.explain("Mains")["verdict"].startswith("Mains paged log at ")
    assert house.explain("Hot")["verdict"].startswith("Hot was named in the page to log about 'Mains")


def test_an_end_that_nobody_took_is_not_said_to_be_told(house: House) -> None:
    house.run(10, cellar=90.0)
    house.answer = NO
    house.run(20, cellar=20.0)
    assert "which facility has not taken yet" in house.explain("Hot")["verdict"]


def test_a_receiver_without_a_way_is_named(house: House) -> None:
    house.run(10, attic=90.0)
    assert "its receiver nobody has no way to notify" in house.explain("Hot")["verdict"]


def test_a_receiver_that_fails_shows_its_answers_and_the_next_try(house: House) -> None:
    house.answer = NO
    house.run(8, cellar=90.0)
    found = house.explain("Hot")
    assert "tried to page facility" in found["verdict"]
    assert " paged " not in found["verdict"]
    (incident,) = house.pipeline.incidents.ordered()
    whole = Explainer(house.pipeline, house.now).incident(incident.id)
    assert whole is not None
    assert whole["verdict"].startswith(f"{incident.id} tried to page facility at ")
    assert "has not taken it after" in found["verdict"]
    assert found["notifications"][0]["attempts"][0]["answer"] == "503 Service Unavailable"
    (waiting,) = found["pending"]
    assert waiting["attempt"] > 1
    key = found["notifications"][0]["dedup_key"]
    told = Explainer(house.pipeline, house.now).notification(key)
    assert told is not None
    assert told["alerts"][0]["labels"]["alertname"] == "Hot"
    assert "503 Service Unavailable" in told["story"]
    assert Explainer(house.pipeline, house.now).notification("nothing") is None


def test_after_a_restart_and_beyond_the_window_it_says_what_is_left(house: House) -> None:
    house.run(10, cellar=90.0)
    house.start()
    found = house.explain("Hot")
    assert found["verdict"].startswith("Hot paged facility at")
    assert found["notifications"][0]["attempts"][0]["ok"]
    assert "is not held any more" in found["source"]["values"][0]["note"]


def test_an_alert_that_was_posted_says_from_where(house: House) -> None:
    posted = Alert(
        Labels({"alertname": "Disk", "node": "n1"}),
        starts_at=START,
        generator_url="http://prometheus:9090/graph?g0.expr=disk",
    )
    house.pipeline.dispatcher.step(START + 1000, house.pipeline.incidents.step(START + 1000, [posted]))
    house.now = START + 1000
    found = house.explain("Disk")
    assert found["source"] == {"kind": "api", "generator_url": posted.generator_url}
    assert posted.generator_url in found["story"]


def test_an_incident_says_who_was_paged_and_of_each_alert_why(house: House) -> None:
    house.run(20, mains=0, cellar=90.0)
    named = {}
    for incident in house.pipeline.incidents.ordered():
        found = Explainer(house.pipeline, house.now).incident(incident.id)
        assert found is not None
        json.dumps(found)
        for one in found["alerts"]:
            named[one["labels"]["alertname"]] = one["verdict"], found["verdict"]
    assert "inhibit rule mains" in named["Hot"][0]
    assert "paged log at" in named["Mains"][0]
    assert "paged log at" in named["Mains"][1]
    assert Explainer(house.pipeline, house.now).incident("INC-0") is None


def test_an_unknown_alert_is_none_and_bad_matchers_are_said(house: House) -> None:
    explainer = Explainer(house.pipeline, house.now)
    assert explainer.alert("Nothing") is None
    assert explainer.alert("0" * 16) is None
    with pytest.raises(ValueError, match="unescaped"):
        explainer.alert('{a="b')


def test_asking_changes_nothing(house: House) -> None:
    house.run(20, mains=0, cellar=90.0, attic=85.0)
    window = house.pipeline.window
    before = [room.dirty for room in house.pipeline.rooms]
    explainer = Explainer(house.pipeline, house.now)
    explainer.alert("Hot")
    for incident in house.pipeline.incidents.ordered():
        explainer.incident(incident.id)
    assert [room.dirty for room in house.pipeline.rooms] == before
    assert window is house.pipeline.window
    held = dict(house.pipeline.dispatcher.held)
    house.pipeline.keep()
    assert dict(house.pipeline.dispatcher.held) == held


def test_what_is_recorded_is_a_history_to_simulate(house: House) -> None:
    house.run(10, cellar=90.0)
    house.run(3, cellar=20.0)
    history = parse_history(list(history_lines(house.pipeline, 0)))
    states = [(line.alert.name, line.alert.resolved_at(line.at)) for line in history.lines]
    assert states == [("Hot", False), ("Hot", True)]
