"""From alerts to notifications, composed: incidents, the stages that hold alerts back, the dispatcher.

There is one place where these rooms are put together, and both the pipeline and a simulation use it: what a
simulation says of a configuration is what that configuration will do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from alertmanager.dispatch import Dispatcher
from alertmanager.inhibit import Inhibition
from alertmanager.ledger import Ledger, Ledgers
from alertmanager.notification import Notification, Outcome
from alertmanager.settings import FleetowlSettings
from alertmanager.silences import Limits, Silences
from alertmanager.stages import Stage
from analyzer.central import CentralSettings
from incidents.correlation import Incidents
from incidents.flap import FlapRule, FlapStage
from incidents.people.engine import People
from incidents.suppression import TopologyStage
from incidents.topology_feed import TopologyFeed
from model.alert import Alert
from model.decision import Decision
from model.topology import Topology
from rules.group import AlertRule, RuleGroup
from store.durable import Durable

WATCHDOG = "Watchdog"
"""The dead man's signal, which always fires: it is told where a route names it, and wakes nobody else.

With a plain alertmanager.yml it is an alert like any other, as it is for Alertmanager.
"""

Explains = Mapping[str, Collection[str]]
"""The name of an alert and the names of the alerts that it explains."""

Flaps = Mapping[str, FlapRule]
"""When an alert of this name flaps, where its rule says so itself."""


class Alerting:
    """The rooms between an alert and its notification. Times are ms; nothing here reads a clock."""

    def __init__(
        self,
        incidents: Incidents,
        dispatcher: Dispatcher,
        stages: Sequence[Stage],
        inhibition: Inhibition,
        silences: Silences,
        topology: Topology,
        people: People,
    ) -> None:
        self.incidents = incidents
        self.dispatcher = dispatcher
        self.stages = tuple(stages)
        self.inhibition = inhibition
        self.silences = silences
        self.topology = topology
        self.people = people
        self._quiet: dict[int, tuple[Alert, int]] = {}  # firing, told to nobody, and when it was heard (ms)

    @property
    def rooms(self) -> tuple[Durable, ...]:
        """Those that outlive the process."""
        return (self.incidents, self.people, self.silences, self.dispatcher)

    def correlate(self, now: int, alerts: Sequence[Alert]) -> list[Alert]:
        """The alerts, each with its incident."""
        return self.incidents.step(now, alerts)

    def notify(self, now: int, alerts: Sequence[Alert], *, more: bool = False) -> list[Notification]:
        """What leaves now, for alerts that have their incidents; `more` wait for the next tick."""
        told = [alert for alert in alerts if alert.name != WATCHDOG or self._is_told(alert, now)]
        leaving = self.dispatcher.step(now, told, more=more)
        for notification in leaving:
            self.people.told(notification, now)
        pages = self.people.step(now, self.incidents, self._silenced)
        self.people.settle(pages, self.dispatcher.page(pages, now), self.incidents, now)
        return leaving

    def quiet(self, now: int) -> list[Alert]:
        """The alerts that fire and that nobody is told of: a watchdog that no route names."""
        timeout = self.dispatcher.resolve_timeout
        self._quiet = {key: one for key, one in self._quiet.items() if now < one[1] + timeout}
        return [alert for alert, _ in self._quiet.values()]

    def answered(self, notification: Notification, outcome: Outcome, now: int) -> Decision:
        """Note a receiver's answer, also in the incidents that the notification is about."""
        decision = self.dispatcher.record(notification, outcome, now)
        attempt = notification.attempt
        if not outcome.ok and attempt & (attempt - 1):
            return decision  # a receiver that stays away is noted at attempts 1, 2, 4, 8...
        kind = "notified" if outcome.ok else "not notified"
        for position, incident in enumerate(notification.incidents):  # the same sentence: one line of the log
            self.incidents.note(incident, now, kind, str(decision), logged=position == 0)
        return decision

    def reconfigure(
        self, settings: CentralSettings, explains: Explains, now: int, flaps: Flaps | None = None
    ) -> None:
        """Take other settings; alerts, incidents and what is under way stay."""
        self.incidents.external_url = settings.alertmanager.external_url
        self.incidents.reconfigure(settings.incidents, explains)
        self.incidents.external_url = settings.alertmanager.external_url
        for stage in self.stages:
            if isinstance(stage, FlapStage):
                stage.configure(settings.incidents.flap, flaps)
        self.dispatcher.reconfigure(settings.alertmanager, now)
        self.inhibition.reconfigure(settings.alertmanager.inhibit_rules, self.dispatcher.alerts, now)
        self.silences.limits = limits_of(settings.alertmanager.fleetowl)
        self.silences.see(plain=settings.alertmanager.plain)
        self.people.reconfigure(settings.incidents.on_call)

    def next_at(self) -> int | None:
        """When (ms) there is something to do without a new alert; None if never."""
        moments = (self.incidents.next_at(), self.dispatcher.next_at(), self.people.next_at())
        return min(_there(*moments), default=None)

    def _is_told(self, watchdog: Alert, now: int) -> bool:
        if self.silences.plain or self.dispatcher.has_own_route(watchdog):
            self._quiet.pop(watchdog.fingerprint, None)
            return True
        if watchdog.resolved_at(now):
            self._quiet.pop(watchdog.fingerprint, None)
        else:
            self._quiet[watchdog.fingerprint] = (watchdog, now)
        return False

    def _silenced(self, fingerprint: int) -> bool:
        held = self.dispatcher.held.get(fingerprint)
        return held is not None and held.stage == "silence"


def compose(
    settings: CentralSettings,
    topology: Topology,
    explains: Explains,
    *,
    flaps: Flaps | None = None,
    feed: TopologyFeed | None = None,
    ledger: Ledger | None = None,
    off: Collection[str] = (),
) -> Alerting:
    """The rooms as these settings want them; stages whose name is in `off` are left out."""
    own = settings.alertmanager
    flap = FlapStage(settings.incidents.flap, flaps)
    incidents = Incidents(settings.incidents, topology, explains, feed, flap.unsettled)
    incidents.external_url = own.external_url
    incidents.external_url = own.external_url
    inhibition, silences = Inhibition(own.inhibit_rules), Silences(limits_of(own.fleetowl))
    silences.see(plain=own.plain)
    left_out = {*off, *(name for name in ("topology", "flap") if not getattr(own.fleetowl, name))}
    every: tuple[Stage, ...] = (inhibition, silences, TopologyStage(incidents), flap)
    stages = [stage for stage in every if stage.name not in left_out]
    told = Ledgers([incidents.telling] if ledger is None else [ledger, incidents.telling])
    dispatcher = Dispatcher(own, stages, told, incidents.briefs)
    dispatcher.acknowledged = incidents.is_acknowledged
    return Alerting(
        incidents, dispatcher, stages, inhibition, silences, topology, People(settings.incidents.on_call)
    )


def limits_of(settings: FleetowlSettings) -> Limits:
    """What the settings say of silences."""
    return Limits(settings.max_silences, settings.max_silence_size, settings.log_retention)


def _there(*moments: int | None) -> list[int]:
    return [moment for moment in moments if moment is not None]


def explained_by(groups: Sequence[RuleGroup]) -> dict[str, tuple[str, ...]]:
    """Which alerts each alert explains, as the side files of the rules say."""
    return {
        rule.name: rule.extras.explains
        for group in groups
        for rule in group.rules
        if isinstance(rule, AlertRule) and rule.extras.explains
    }


def flapping_by(groups: Sequence[RuleGroup]) -> dict[str, FlapRule]:
    """When each alert flaps, as the side files of the rules say."""
    return {
        rule.name: FlapRule(flap.changes, flap.within, flap.hold)
        for group in groups
        for rule in group.rules
        if isinstance(rule, AlertRule) and (flap := rule.extras.flap) is not None
    }
