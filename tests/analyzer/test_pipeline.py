"""The whole way in virtual time: from a scraped line to a notification, over restarts and a bad disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alertmanager.notification import Notification, Outcome
from analyzer.assembly import prepare
from analyzer.pipeline import Effects, Pipeline
from model.alert import Alert
from model.labels import Labels
from model.settings import ConfigurationError
from store.errors import StoreUnavailable
from telemetry.ingest import TargetIngest
from tests.analyzer.conftest import START, settings_of

Make = Callable[..., Pipeline]

RULES = """
groups:
  - name: heat
    interval: 1s
    rules:
      - alert: Hot
        expr: temperature > 80
        for: 3s
        labels: {tier: P1}
        annotations: {summary: "room {{ $labels.room }} is at {{ $value }}"}
"""


class Room:
    """A scraped thermometer and the pipeline that watches it, second by second."""

    def __init__(self, make: Make, tmp_path: Path) -> None:
        self._make = make
        self._rules = tmp_path / "heat.rules.yml"
        self._rules.write_text(RULES)
        self.now = START
        self.sent: list[Notification] = []
        self.start()

    def start(self) -> None:
        self.pipeline = self._make(
            self.now,
            rules={"shipped": False, "files": [str(self._rules)]},
            alertmanager={
                "route": {
                    "receiver": "log",
                    "group_by": ["room"],
                    "group_wait": "0s",
                    "group_interval": "1s",
                },
                "receivers": [{"name": "log", "log_configs": [{}]}],
            },
        )
        labels = Labels({"job": "rooms", "instance": "cellar"})
        self._ingest = TargetIngest(self.pipeline.window, "cellar", 1000, labels)

    def run(self, seconds: int, temperature: float, answer: bool = True) -> None:
        for _ in range(seconds):
            self.now += 1000
            self.pipeline.window.advance(self.now)
            self._ingest.ingest(b'temperature{room="a"} %f\n' % temperature, self.now)
            effects: Effects = self.pipeline.step(self.now)
            for notification in effects.notifications:
                self.sent.append(notification)
                if answer:
                    self.pipeline.answered(notification, Outcome(True, False, "200"), self.now)
                    self.pipeline.keep()

    def told(self) -> list[tuple[str, str]]:
        return [(alert.name, told.status) for told in self.sent for alert in told.alerts]


@pytest.fixture
def room(make_pipeline: Make, tmp_path: Path) -> Room:
    return Room(make_pipeline, tmp_path)


def test_from_a_line_to_a_notification_and_its_end(room: Room) -> None:
    room.run(5, 20.0)
    assert room.sent == []
    room.run(10, 90.0)
    assert room.told() == [("Hot", "firing")]
    alert = room.sent[0].alerts[0]
    assert alert.annotations["summary"] == "room a is at 90"
    assert room.sent[0].incidents == [alert.incident]
    room.run(30, 20.0)
    assert room.told() == [("Hot", "firing"), ("Hot", "resolved")]
    incident = room.pipeline.incidents.describe(alert.incident)
    assert incident is not None
    kinds = [entry["kind"] for entry in incident["timeline"]]
    assert kinds == ["opened", "notified", "ended", "notified", "resolved"]


def test_a_restart_neither_resolves_nor_repeats(room: Room) -> None:
    room.run(10, 90.0)
    before = room.sent[0].alerts[0].starts_at
    for _ in range(3):
        room.now += 5_000
        room.start()
        room.run(8, 90.0)
    assert room.told() == [("Hot", "firing")]
    room.run(60, 20.0)
    assert room.told() == [("Hot", "firing"), ("Hot", "resolved")]
    assert {told.alerts[0].starts_at for told in room.sent} == {before}


def test_an_unanswered_notification_is_sent_again_with_the_same_key(room: Room) -> None:
    room.run(6, 90.0, answer=False)
    assert len(room.sent) == 1
    room.start()
    room.run(2, 90.0)
    assert len(room.sent) == 2
    assert room.sent[0].dedup_key == room.sent[1].dedup_key


def test_a_disk_that_takes_nothing_stops_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(room.pipeline.database), "transaction", full)
        room.run(10, 90.0)
        assert room.told() == [("Hot", "firing")], "monitoring goes on"
        assert {s.name: s.value for s in room.pipeline.samples(room.now)}["fleetowl_store_up"] == 0
        assert caplog.text.count("state is not on disk: the disk is full") == 1, "said once"
    room.run(1, 90.0)
    assert {s.name: s.value for s in room.pipeline.samples(room.now)}["fleetowl_store_up"] == 1
    room.start()
    room.run(5, 90.0)
    assert room.told() == [("Hot", "firing")], "what could not be saved then was saved later"


def test_that_notifications_leave_without_being_on_disk_is_said_once_each_time(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(type(room.pipeline.database), "transaction", full)
            room.run(10, 90.0)
            room.run(30, 20.0)
        room.run(1, 20.0)
    assert room.told()[:3] == [("Hot", "firing"), ("Hot", "resolved"), ("Hot", "firing")]
    assert caplog.text.count("notifications leave though they are not on disk") == 2


def test_a_kind_is_known_at_once_and_after_a_restart(make_pipeline: Make) -> None:
    pipeline = make_pipeline(START)
    labels = Labels({"job": "vllm", "instance": "a:8000"})
    ingest = TargetIngest(pipeline.window, "a", 1000, labels)
    pipeline.window.advance(START)
    ingest.ingest(b'vllm:num_requests_running{engine="0"} 1\n', START)
    pipeline.step(START)
    ingest.fail(START + 1000, "connection refused")
    again = make_pipeline(START + 2000)
    kinds = {(s.labels["instance"], s.labels["kind"]) for s in again.inventory.samples()}
    assert ("a:8000", "engine") in kinds


def test_every_wrong_file_is_said_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "bad.rules.yml"
    rules.write_text("groups: [{name: a, rules: [{alert: A, expr: 'rate(up)'}, {alert: B, exprs: up}]}]")
    books = tmp_path / "books"
    books.mkdir()
    (books / "bad.yml").write_text("kind: Runbook\n")
    settings = settings_of(
        tmp_path, rules={"files": [str(rules)]}, runbooks={"files": [str(books)], "enabled": True}
    )
    with pytest.raises(ConfigurationError) as caught:
        prepare(settings)
    said = str(caught.value)
    assert said.count(str(rules)) >= 2
    assert str(books / "bad.yml") in said


def test_a_rule_that_reads_too_far_back_fails_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make_pipeline: Make
) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("groups: [{name: far, rules: [{alert: Far, expr: 'max_over_time(x[3d]) > 1'}]}]")
    pipeline = make_pipeline(START, rules={"files": [str(path)]})
    pipeline.step(START)
    states = {rule.rule.name: rule for group in pipeline.rules.groups for rule in group.rules}
    assert states["Far"].error.startswith("reads 3d back, but only ")
    assert [name for name, state in states.items() if state.error] == ["Far"]
    assert len(states) > 5, "the shipped packs run"
    assert "group far, Far fails, the other rules run: reads 3d back" in caplog.text


def test_the_dead_mans_signal_is_told_where_a_route_names_it_only(make_pipeline: Make) -> None:
    receivers = [{"name": name, "webhook_configs": [{"url": f"http://127.0.0.1/{name}"}]} for name in "ab"]
    named = [{"matchers": ["alertname=Watchdog"], "receiver": "b", "group_wait": "0s"}]
    for routes, told in (([], set()), (named, {"b"})):
        route = {"receiver": "a", "group_wait": "0s", "routes": routes}
        pipeline = make_pipeline(START, alertmanager={"route": route, "receivers": receivers})
        found: set[str] = set()
        for second in range(40):
            effects = pipeline.step(START + 1000 * second)
            found |= {
                one.receiver for one in effects.notifications if "Watchdog" in {a.name for a in one.alerts}
            }
        assert found == told
        pipeline.database.close()


def test_a_reload_passes_on_inhibit_rules_and_limits_of_silences(make_pipeline: Make, tmp_path: Path) -> None:
    pipeline = make_pipeline(rules={"shipped": False})
    rule = {"source_matchers": ["sev=high"], "target_matchers": ["sev=low"]}
    settings = settings_of(
        tmp_path / "state",
        rules={"shipped": False},
        alertmanager={"inhibit_rules": [rule], "fleetowl": {"max_silences": 3, "max_silence_size": 77}},
    )
    pipeline.reload(settings, [], [], START)
    low, high = (Alert(Labels({"alertname": sev, "sev": sev}), starts_at=START) for sev in ("low", "high"))
    pipeline.alerting.notify(START, pipeline.alerting.correlate(START, [low, high]))
    pipeline.alerting.notify(START + 60_000, [])
    assert pipeline.dispatcher.held[low.fingerprint].stage == "inhibit"
    assert high.fingerprint not in pipeline.dispatcher.held
    assert pipeline.alerting.silences.limits[:2] == (3, 77)
