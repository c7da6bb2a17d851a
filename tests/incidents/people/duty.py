"""Incidents whose people are notified, on a virtual clock, with restarts and crashes."""

from __future__ import annotations

from typing import Any

from alertmanager.notification import Delivery, Notification, Page
from incidents.people.course import SCHEMA
from incidents.people.engine import People
from incidents.settings import IncidentSettings
from model.alert import Alert
from model.decision import allow, refuse
from model.labels import Labels
from store.durable import persist, restore
from tests.incidents.scene import Scene

TEAM: dict[str, Any] = {
    "people": [
        {"name": "ada", "phone": ["ada-phone"], "im": ["ada-im"], "mail": ["ada-mail"]},
        {"name": "bo", "phone": ["bo-phone"], "im": ["bo-im"], "mail": ["bo-mail"]},
    ],
    "schedules": [{"name": "ops", "layers": [{"people": ["ada", "bo"]}]}],
}
"""On 2026-11-20, a Friday, ada is on duty: her turn began on Monday at 09:00."""


class Duty(Scene):
    """A scene with people; what the first notification is told to is in `route`."""

    def __init__(
        self,
        window: str = "10m",
        seen: list[Labels] | None = None,
        explains: dict[str, list[str]] | None = None,
        **on_call: Any,
    ) -> None:
        body = {"window": window, "on_call": {**TEAM, **on_call}}
        settings = IncidentSettings.model_validate(body)
        self.route = "team-chat"
        self.pages: list[Page] = []
        self.silenced = False
        self.gone: set[str] = set()
        super().__init__(settings, seen, explains)
        self.database.create(SCHEMA)
        self._told: set[str] = set()

    def _start(self) -> None:
        super()._start()
        self.people = People(self.settings.on_call)

    def restart(self) -> None:
        super().restart()
        restore(self.database, [self.people], self.now)

    def step(self, seconds: int = 0, *, crash: bool = False) -> dict[str, str]:
        """Also notify; `crash` is a process that dies before what it decided is on disk."""
        placed = super().step(seconds)
        for incident in self.incidents.ordered():
            if incident.id not in self._told:
                alerts = [
                    Alert(one.labels, starts_at=self.now, incident=incident.id) for one in incident.firing
                ]
                self.people.told(told(self.route, alerts, self.now), self.now)
        pages = self.people.step(self.now, self.incidents, lambda fingerprint: self.silenced)
        decisions = [allow("taken") if page.receiver not in self.gone else refuse("gone") for page in pages]
        self.people.settle(pages, decisions, self.incidents, self.now)
        if crash:
            self.restart()
            return placed
        self._told |= set(self.ids)
        self.pages += pages
        persist(self.database, [self.incidents, self.people])
        return placed

    def paged(self, seconds: int = 0) -> list[str]:
        """The receivers of the pages of one step, `seconds` later."""
        known = len(self.pages)
        self.step(seconds)
        return [page.receiver for page in self.pages[known:]]

    def over(self, minutes: int) -> list[str]:
        """The receivers of the pages of so many minutes, a step a minute."""
        return [receiver for _ in range(minutes) for receiver in self.paged(60)]

    @property
    def incident(self) -> str:
        (found,) = self.ids
        return found


def told(receiver: str, alerts: list[Alert], now: int) -> Notification:
    """What a route has told a receiver."""
    return Notification(
        Delivery("{}:{}", receiver, "webhook[0]"),
        Labels(),
        tuple(alerts),
        firing=frozenset(alert.fingerprint for alert in alerts),
        resolved=frozenset(),
        at=now,
        sequence=1,
        dedup_key="key",
    )
