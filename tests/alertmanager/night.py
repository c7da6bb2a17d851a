"""Builders that the tests of this room share: a dispatcher, a store, a night in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alertmanager.dispatch import Dispatcher
from alertmanager.notification import Notification, Outcome
from alertmanager.settings import AlertmanagerSettings
from alertmanager.tables import SCHEMA
from model.alert import Alert
from model.labels import Labels
from model.settings import load_section
from store.database import Database
from store.durable import persist, restore

T0 = 1_795_000_000_000
TOOK = Outcome(ok=True, retry=False, answer="200 OK")
FAILED = Outcome(ok=False, retry=True, answer="503 Service Unavailable")
REFUSED = Outcome(ok=False, retry=False, answer="400 Bad Request")

ROUTE = {
    "receiver": "team",
    "group_by": ["incident"],
    "group_wait": "10s",
    "group_interval": "1m",
    "repeat_interval": "1h",
}


def settings_of(
    route: dict[str, Any] | None = None,
    receivers: list[dict[str, Any]] | None = None,
    **sections: Any,
) -> AlertmanagerSettings:
    data = {
        "route": {**ROUTE, **(route or {})},
        "receivers": receivers or [{"name": "team", "log_configs": [{}]}],
        **sections,
    }
    return load_section(AlertmanagerSettings, data, "fleetowl.yml")


class Night:
    """A dispatcher on a virtual clock, with alerts that keep firing until they are ended."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self.settings = settings
        self.database = Database("sqlite://")
        self.database.create(SCHEMA)
        self.dispatcher = Dispatcher(settings)
        self.now = T0
        self.firing: dict[Labels, Alert] = {}
        self.ended: list[Alert] = []
        self.answer: Callable[[Notification], Outcome] = lambda _notification: TOOK
        self.sent: list[tuple[int, Notification]] = []

    def fire(
        self, name: str = "A", starts_at: int | None = None, incident: str = "INC-1", **labels: str
    ) -> None:
        whole = Labels({"alertname": name, "tier": "P2", **labels})
        begin = self.now if starts_at is None else starts_at
        self.firing[whole] = Alert(whole, {"summary": name}, begin, incident=incident)

    def end(self, name: str = "A") -> None:
        for labels in [labels for labels in self.firing if labels["alertname"] == name]:
            alert = self.firing.pop(labels)
            self.ended.append(
                Alert(labels, alert.annotations, alert.starts_at, self.now, incident=alert.incident)
            )

    def step(self) -> list[Notification]:
        alerts = [*self.firing.values(), *self.ended]
        self.ended = []
        leaving = self.dispatcher.step(self.now, alerts)
        persist(self.database, [self.dispatcher])
        return leaving

    def run(self, seconds: int) -> list[tuple[int, str, str, str]]:
        """Advance by seconds; returns what was taken: second, receiver, status, alerts (- = ended)."""
        taken = []
        for _ in range(seconds):
            for notification in self.step():
                outcome = self.answer(notification)
                self.sent.append((self.now, notification))
                self.dispatcher.record(notification, outcome, self.now)
                if outcome.ok:
                    taken.append(self.told(notification))
            self.now += 1000
        return taken

    def told(self, notification: Notification) -> tuple[int, str, str, str]:
        names = " ".join(
            ("-" if alert.resolved_at(notification.at) else "") + alert.name for alert in notification.alerts
        )
        return (self.now - T0) // 1000, notification.receiver, notification.status, names

    def crash(self) -> None:
        """Kill -9 and a new process: only what was committed is there."""
        self.dispatcher = Dispatcher(self.settings)
        restore(self.database, [self.dispatcher], self.now)
