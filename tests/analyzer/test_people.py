"""Routes and people together: nothing is told twice, what somebody has is not repeated, ends are told."""

from __future__ import annotations

from typing import Any

from alertmanager.notification import Notification, Outcome
from analyzer.alerting import Alerting, compose
from analyzer.central import CentralSettings
from model.alert import Alert
from model.labels import Labels
from model.settings import load_section
from model.topology import Topology

T0 = 1_795_132_800_000
TEAM = {
    "people": [{"name": "ada", "im": ["ada-im"]}, {"name": "bo", "im": ["bo-im"]}],
    "schedules": [{"name": "ops", "layers": [{"people": ["ada"]}]}],
}


class Night:
    """Alerting on a virtual clock; every receiver takes what it is told."""

    def __init__(self, **on_call: Any) -> None:
        names = ("team", "ada-im", "bo-im")
        body = {
            "alertmanager": {
                "route": {
                    "receiver": "team",
                    "group_by": ["incident"],
                    "group_wait": "10s",
                    "repeat_interval": "1h",
                },
                "receivers": [{"name": name, "log_configs": [{}]} for name in names],
            },
            "incidents": {"on_call": on_call},
        }
        self.alerting: Alerting = compose(
            load_section(CentralSettings, body, "test.yml"), Topology(3_600_000), {}
        )
        self.now = T0
        self.told: list[Notification] = []
        self.firing = True

    def go(self, minutes: float) -> list[str]:
        """The receivers of what was sent in so many minutes, a tick every five seconds."""
        before = len(self.told)
        for _ in range(int(minutes * 12)):
            self.now += 5000
            alert = Alert(
                Labels({"alertname": "Gone", "tier": "P1", "node": "n0"}),
                {},
                T0,
                None if self.firing else self.now,
            )
            placed = self.alerting.correlate(self.now, [alert])
            for notification in self.alerting.notify(self.now, placed):
                self.told.append(notification)
                self.alerting.answered(notification, Outcome(True, False, "200"), self.now)
        return [notification.receiver for notification in self.told[before:]]

    @property
    def incident(self) -> str:
        return self.alerting.incidents.ordered(everything=True)[0].id


def test_without_people_routes_alone_notify() -> None:
    night = Night()
    assert night.go(120) == ["team", "team"]  # the repetition after an hour
    assert not night.alerting.people.dirty


def test_the_route_tells_then_people_are_paged_and_an_answer_ends_both() -> None:
    night = Night(**TEAM)
    assert night.go(1) == ["team", "ada-im"]
    page = night.told[-1]
    assert (page.is_page, page.tier.name, [alert.name for alert in page.alerts]) == (True, "P1", ["Gone"])
    assert night.go(15) == ["ada-im", "bo-im"]
    assert night.alerting.incidents.acknowledge(night.incident, "ada", night.now)
    assert night.go(180) == []  # no step and no repetition
    night.firing = False
    assert night.go(10) == ["team", "ada-im", "bo-im"]  # once each, though ada was paged twice
    assert {one.status for one in night.told[-3:]} == {"resolved"}
    assert night.told[-1].headline.startswith(f"{night.incident} is over after ")
    kinds = [entry.kind for entry in night.alerting.incidents.timeline(night.incident)]
    assert [kind for kind in kinds if kind != "notified"] == [
        "opened", "paged", "escalated", "acknowledged", "ended", "resolved",
    ]  # fmt: skip
