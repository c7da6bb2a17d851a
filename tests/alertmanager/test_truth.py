"""Whatever happens to alerts, receivers and the process: every receiver ends up knowing the truth.

Random histories in virtual time. A crash is a new dispatcher made from what was committed; it may fall
before the commit, before the send, between the receiver's answer and our record, or after the record.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.dispatch import Dispatcher
from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.payload import Writer
from alertmanager.tables import SCHEMA
from model.alert import Alert, Tier
from model.labels import Labels
from store.database import Database
from store.durable import persist, restore
from tests.alertmanager.night import FAILED, REFUSED, T0, TOOK, settings_of

SECONDS = 1000
INTEGRATIONS = ("log[0]", "log[1]")
SETTINGS = settings_of(
    route={
        "repeat_interval": "10d",
        "routes": [{"matchers": ['tier="P1"'], "group_by": ["alertname"], "group_wait": "0s"}],
    },
    receivers=[{"name": "team", "log_configs": [{}, {}]}],
    fleetowl={"retry": {"refused_attempts": 50, "refused_interval": "30s", "give_up_after": "30d"}},
)


def matter(alert: Alert) -> tuple[int, str]:
    """What a receiver is told about: where the incident does not make the group, the alert alone."""
    return alert.fingerprint, "" if alert.tier is Tier.P1 else alert.incident


@dataclass
class Listener:
    """One integration: the notifications that reached it, by dedup key, and what it believes."""

    copies: dict[str, list[Notification]] = field(default_factory=lambda: defaultdict(list))
    believes: dict[tuple[int, str], bool] = field(default_factory=dict)

    def hear(self, notification: Notification) -> None:
        for alert in notification.alerts:
            self.believes[matter(alert)] = not alert.resolved_at(notification.at)
        self.copies[notification.dedup_key].append(notification)


class World:
    """The truth, the listeners, and a process that dies and comes back."""

    def __init__(self) -> None:
        self.database = Database("sqlite://")
        self.database.create(SCHEMA)
        self.dispatcher = Dispatcher(SETTINGS)
        self.now = T0
        self.firing: dict[int, Alert] = {}
        self.unsaid: list[Alert] = []
        self.listeners = {name: Listener() for name in INTEGRATIONS}
        self.failing: dict[str, Outcome] = {}
        self.excused: set[str] = set()
        self.decided: set[tuple[str, int, int]] = set()

    def fire(self, number: int, incident: int) -> None:
        if number not in self.firing:
            labels = Labels({"alertname": f"A{number}", "tier": f"P{number % 4}"})
            self.firing[number] = Alert(labels, {}, self.now, incident=f"INC-{incident}")

    def end(self, number: int) -> None:
        alert = self.firing.pop(number, None)
        if alert is not None:
            self.unsaid.append(Alert(alert.labels, {}, alert.starts_at, self.now, incident=alert.incident))

    def tick(self, crash: str = "") -> None:
        """One tick of the analyzer: decide, commit, send, record; the process may die in between."""
        alerts = [*self.firing.values(), *self.unsaid]
        leaving = self.dispatcher.step(self.now, alerts)
        if crash == "before commit":
            # The rules died with us before their own commit, so they will say the ends again.
            return self.restart()
        assert persist(self.database, [self.dispatcher])
        self.unsaid = []
        if crash == "before send":
            return self.restart()
        for notification in leaving:
            integration = notification.delivery.integration
            outcome = self.failing.get(integration, TOOK)
            if outcome.ok:
                self.listeners[integration].hear(notification)
                if crash == "before record":
                    self.excused.add(notification.dedup_key)
            if crash != "before record":
                self.dispatcher.record(notification, outcome, self.now)
        if crash == "before record":
            return self.restart()
        if crash == "after record":  # recorded in memory, not yet committed: the answer is lost as well
            self.excused.update(n.dedup_key for n in leaving)
            return self.restart()
        assert persist(self.database, [self.dispatcher])
        self.now += SECONDS
        return None

    def restart(self) -> None:
        self.now += 3 * SECONDS
        self.dispatcher = Dispatcher(SETTINGS)
        restore(self.database, [self.dispatcher], self.now)

    def settle(self) -> None:
        """Everything works again for long enough: no crash, no failure, no change."""
        self.failing = {}
        for _ in range(400):
            self.tick()

    def check(self) -> None:
        truth = {matter(alert) for alert in self.firing.values()}
        for listener in self.listeners.values():
            believed = {key for key, firing in listener.believes.items() if firing}
            assert believed == truth
            for key, copies in listener.copies.items():
                assert len(copies) == 1 or key in self.excused
                assert all(Writer().write(copy) == Writer().write(copies[0]) for copy in copies)
        assert self.dispatcher.pending == []
        assert len(self.dispatcher.alerts) == len(truth)


CRASHES = st.sampled_from(["before commit", "before send", "before record", "after record"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("fire"), st.integers(0, 5), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.just("crash"), CRASHES),
        st.tuples(st.just("fail"), st.sampled_from(INTEGRATIONS), st.sampled_from([FAILED, REFUSED, TOOK])),
        st.tuples(st.just("away"), st.integers(1, 20)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_every_receiver_ends_up_knowing_the_truth(events: list[tuple[str, ...]]) -> None:
    world = World()
    for kind, *details in events:
        if kind == "fire":
            world.fire(*map(int, details))
        elif kind == "end":
            world.end(int(details[0]))
        elif kind == "wait":
            for _ in range(int(details[0])):
                world.tick()
        elif kind == "crash":
            world.tick(details[0])
        elif kind == "fail":
            world.failing[details[0]] = details[1]  # type: ignore[assignment]
        else:
            world.now += int(details[0]) * 60 * SECONDS
            world.restart()
    world.settle()
    world.check()
    for number in list(world.firing):
        world.end(number)
    world.settle()
    world.check()
    quiet = sum(len(listener.copies) for listener in world.listeners.values())
    world.settle()
    assert sum(len(listener.copies) for listener in world.listeners.values()) == quiet
