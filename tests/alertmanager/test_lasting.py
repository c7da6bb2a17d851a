"""Through restarts, reloads, failing receivers and held alerts: nothing lost or told twice, no half group.

A state machine in virtual time. The model knows when each alert began to fire, and whether it is held.
"""

from __future__ import annotations

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alertmanager.dispatch import Dispatcher
from alertmanager.notification import Notification
from alertmanager.route import Route
from alertmanager.tables import SCHEMA
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.labels import Labels
from store.database import Database
from store.durable import persist, restore
from tests.alertmanager.night import FAILED, T0, TOOK, settings_of

SECOND = 1000
PAST_DUE = 150 * SECOND
"""group_wait, group_interval, the slowest retry and the turns of the rate, all in a row."""

BEFORE, AFTER = (
    settings_of(
        route={"group_by": ["rack"], "repeat_interval": "10d", "group_interval": interval},
        receivers=[{"name": "team", "log_configs": [{}, {}]}],
        fleetowl={
            "retry": {"max_backoff": "5s", "give_up_after": "30d"},
            "rates": {"team": {"messages": 6, "per": "1m"}},
        },
    )
    for interval in ("40s", "30s")
)
NUMBERS = st.integers(0, 5)


class Holding:
    """A stage that holds whom it is told to hold."""

    name = "silence"

    def __init__(self) -> None:
        self.version = 0
        self.names: frozenset[str] = frozenset()

    def observe(self, alert: Alert, now: int) -> None: ...

    def step(self, now: int) -> None: ...

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        return allow("held by the test") if alert.name in self.names else refuse("not held")


class Lasting(RuleBasedStateMachine):
    """Everything that may happen to a dispatcher between two ticks."""

    @initialize()
    def begin(self) -> None:
        self.database = Database("sqlite://")
        self.database.create(SCHEMA)
        self.stage = Holding()
        self.settings = BEFORE
        self.dispatcher = Dispatcher(self.settings, [self.stage])
        self.now = T0
        self.firing: dict[str, Alert] = {}
        self.ended: list[Alert] = []
        self.free_since: dict[str, int] = {}
        self.failing_until = 0
        self.heard: dict[str, dict[str, Notification]] = defaultdict(dict)

    @rule(number=NUMBERS)
    def fire(self, number: int) -> None:
        name = f"A{number}"
        if name not in self.firing:
            labels = Labels({"alertname": name, "rack": f"r{number % 2}", "tier": f"P{number % 4}"})
            self.firing[name] = Alert(labels, {}, self.now, value=0.0, incident="INC-1")
            self.free_since[name] = self.now

    @rule(number=NUMBERS)
    def end(self, number: int) -> None:
        alert = self.firing.pop(f"A{number}", None)
        if alert is not None:
            over = Alert(alert.labels, {}, alert.starts_at, self.now, value=0.0, incident="INC-1")
            self.ended.append(over)

    @rule(number=NUMBERS)
    def hold(self, number: int) -> None:
        self.stage.names ^= {f"A{number}"}
        self.stage.version += 1
        self.free_since[f"A{number}"] = self.now

    @rule(seconds=st.integers(1, 20))
    def fail(self, seconds: int) -> None:
        self.failing_until = self.now + seconds * SECOND

    @rule()
    def restart(self) -> None:
        self.dispatcher = Dispatcher(self.settings, [self.stage])
        restore(self.database, [self.dispatcher], self.now)

    @rule()
    def reload(self) -> None:
        self.settings = AFTER if self.settings is BEFORE else BEFORE
        self.dispatcher.reconfigure(self.settings, self.now)

    @rule(seconds=st.sampled_from([1, 1, 5, 45]))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.tick()

    def tick(self) -> None:
        leaving = self.dispatcher.step(self.now, [*self.firing.values(), *self.ended])
        self.ended = []
        assert persist(self.database, [self.dispatcher])
        for notification in leaving:
            self.whole(notification)
            outcome = FAILED if self.now < self.failing_until else TOOK
            if outcome.ok:
                self.hear(notification)
            self.dispatcher.record(notification, outcome, self.now)
        assert persist(self.database, [self.dispatcher])
        self.now += SECOND

    def whole(self, notification: Notification) -> None:
        """A new message names every alert of its group that fires, is known and is not held."""
        if notification.attempt > 1 or notification.at != self.now:
            return
        rack = notification.group_labels["rack"]
        there = {
            alert.fingerprint
            for name, alert in self.firing.items()
            if alert.labels["rack"] == rack and name not in self.stage.names
        }
        assert notification.firing == there

    def hear(self, notification: Notification) -> None:
        integration = notification.delivery.integration
        earlier = self.heard[integration].setdefault(notification.dedup_key, notification)
        assert earlier is notification, "told twice under one key: nobody crashed between answer and record"
        for alert in notification.alerts:
            for other in self.heard[integration].values():
                if other is not notification and not alert.resolved_at(notification.at):
                    # The same alerts in the same state under another key would be the same news twice.
                    assert (other.group_key, state(other)) != (
                        notification.group_key,
                        state(notification),
                    ) or self.between(integration, other, notification)

    def between(self, integration: str, first: Notification, second: Notification) -> bool:
        """Whether something else was told of the group in between: then it is no repetition."""
        return any(
            first.sequence < other.sequence < second.sequence
            for other in self.heard[integration].values()
            if other.group_key == first.group_key
        )

    @invariant()
    def nothing_is_lost(self) -> None:
        """Who fires for long, and is free, was told to both; who is held says why."""
        if not hasattr(self, "firing") or self.now < self.failing_until + PAST_DUE:
            return
        for name, alert in self.firing.items():
            if self.now - max(alert.starts_at, self.free_since[name]) < PAST_DUE:
                continue
            if name in self.stage.names:
                assert self.dispatcher.held[alert.fingerprint].why == "held by the test"
                continue
            for integration in ("log[0]", "log[1]"):
                told = [one for one in self.heard[integration].values() if alert.fingerprint in one.firing]
                assert any(alert.starts_at == own.starts_at for one in told for own in one.alerts), name

    def teardown(self) -> None:
        if hasattr(self, "firing"):
            for _ in range(PAST_DUE // SECOND + 20):
                self.tick()
            self.nothing_is_lost()
            self.database.close()


def state(notification: Notification) -> frozenset[tuple[int, int]]:
    """Who fires since when."""
    return frozenset(
        (alert.fingerprint, alert.starts_at)
        for alert in notification.alerts
        if not alert.resolved_at(notification.at)
    )


TestLasting = Lasting.TestCase
TestLasting.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
