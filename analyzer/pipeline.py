"""The one way through the house: window, scores, rules, alerts, incidents, notifications, actions.

A pipeline does nothing to the outside but keep its state. `step` takes the moment and returns what is to be
done, so a test, a replay and the simulator run hours of it in seconds.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from alertmanager.backlog import Backlog
from alertmanager.notification import Notification, Outcome
from alertmanager.records import Records
from analyzer.alerting import compose, explained_by, flapping_by
from analyzer.central import CentralSettings
from analyzer.deadman.peers import Peers
from analyzer.demand import Demand
from analyzer.happenings import Happenings
from analyzer.inventory import Inventory
from analyzer.pace import FIRST
from analyzer.tick import Step, Tick
from analyzer.topology import TopologyWatch
from detectors.engine import Scoring
from detectors.feedback.book import Feedback
from incidents.people.link import AckLinks
from incidents.topology_feed import TopologyFeed
from model.alert import Alert
from model.decision import Decision, allow
from model.metric import Metric, Sample
from model.moment import MINUTE
from model.topology import Topology
from rules.engine import RuleEngine
from rules.group import RuleGroup
from rules.promql.answer import Answer, Vector
from rules.promql.expression import Expression, parse
from runbooks.cluster import ClusterView
from runbooks.engine import RunbookEngine
from runbooks.model import Runbook
from runbooks.run import Intent, Result
from store.database import Database
from store.durable import Durable, persist
from telemetry.frame_ingest import FrameReceiver
from telemetry.window import Window

log = logging.getLogger("fleetowl.analyzer")

METRICS = (Metric("fleetowl_store_up", "gauge", "1 while the state is on disk and takes writes."),)
COMPACT_INTERVAL = 5 * MINUTE
COMPACT_SLACK = 0.1


@dataclass
class Effects:
    """What one tick asks for."""

    notifications: list[Notification] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)


class Pipeline:
    """The rooms, composed. `started_at` (ms) is when this process began to fill the window.

    `timer` gives seconds, by which the rules keep to their share of a tick. Without one nothing is ever put
    off: in virtual time the answer must not depend on how fast the machine is.
    """

    def __init__(
        self,
        settings: CentralSettings,
        groups: list[RuleGroup],
        runbooks: list[Runbook],
        window: Window,
        scoring: Scoring,
        database: Database,
        started_at: int,
        timer: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.window = window
        self.scoring = scoring
        self.feedback = Feedback(window)
        self.database = database
        self.topology = Topology(settings.incidents.topology_retention)
        self.frames = FrameReceiver(window, settings.telemetry.frames)
        self.inventory = Inventory(window, self.frames)
        self.rules = _rule_engine(settings, groups, window, started_at, timer)
        self.records = Records(settings.alertmanager.fleetowl.log_retention)
        self.feed = TopologyFeed(self.topology)
        self.alerting = compose(
            settings,
            self.topology,
            explained_by(groups),
            flaps=flapping_by(groups),
            feed=self.feed,
            ledger=self.records,
        )
        self.incidents = self.alerting.incidents
        self.dispatcher = self.alerting.dispatcher
        self.backlog = Backlog()
        self.at_once = FIRST  # alerts sent by API that a tick takes, besides every P0
        self.peers = Peers(settings.analyzer.dead_man.peers)
        self.runbooks = RunbookEngine(runbooks, settings.runbooks, self.topology)
        self.settings = settings
        self.view: ClusterView | None = None
        self.kept: Decision = allow("no state changed")
        self._told_unkept = False  # whether it was said that notifications leave without being on disk
        self.alerts: list[Alert] = []  # of this tick
        self._taken = False  # whether the tick has what it took of the backlog, all of it, in `alerts`
        self.lasting = True  # False where the state is in memory only
        self.links = AckLinks(secrets.token_bytes(32))  # of this process, unless the assembly has a key
        self.dispatcher.linked = self._linked
        self.window_end = 0  # of the window that an earlier process left, ms
        self._happenings = Happenings(self.frames.events, self.incidents)
        self._watch = TopologyWatch(window, self.feed)
        self._compacted_at = started_at
        self._effects = Effects()
        self.demand = Demand(scoring, window)
        self.demand.follow(groups, started_at)
        self.tick = Tick(self._steps(), settings.analyzer.tick)

    @property
    def rooms(self) -> list[Durable]:
        """Everything that outlives the process."""
        alerting = (
            self.incidents,
            self.alerting.silences,
            self.dispatcher,
            self.alerting.people,
            self.records,
            self.backlog,
            self.peers,
        )
        return [self.inventory, self.feedback, self.feed, self.rules, *alerting, self.runbooks]

    def step(self, now: int) -> Effects:
        """One tick at `now` (ms)."""
        self._effects = Effects()
        self.window.advance(now)
        self.tick.run(now)
        return self._effects

    def answered(self, notification: Notification, outcome: Outcome, now: int) -> None:
        """Record a receiver's answer; `keep` must follow before anything else is done."""
        self.alerting.answered(notification, outcome, now)

    def acted(self, result: Result, now: int) -> None:
        """Record what became of an action; `keep` must follow before anything else is done."""
        self.runbooks.record(result, now)
        for run in self.runbooks.runs():
            if run.id == result.run and run.incident:
                self.incidents.note(run.incident, now, "action", result.why)

    def _linked(self, notification: Notification) -> Notification:
        """With links to acknowledge what is open, where it is known under which address people reach us."""
        base = self.settings.alertmanager.external_url
        if not base or not notification.briefs:
            return notification
        who = self.alerting.people.policies.owner(notification.receiver)
        briefs = []
        for brief in notification.briefs:
            incident = self.incidents.get(self.incidents.final(brief.incident))
            if incident is not None and incident.open:
                url = self.links.url(base, brief.incident, incident.opened_at, who, notification.at)
                brief = replace(brief, ack_url=url)
            briefs.append(brief)
        return replace(notification, briefs=tuple(briefs))

    def keep(self) -> None:
        """Put on disk what changed. A database that refuses is said once, and tried again at each tick."""
        before, self.kept = self.kept, persist(self.database, self.rooms)
        if not self.kept and str(before) != str(self.kept):
            log.error("%s", self.kept)
        elif self.kept and not before:
            self._told_unkept = False
            log.warning("the state database takes writes again")

    def reload(
        self, settings: CentralSettings, groups: list[RuleGroup], runbooks: list[Runbook], now: int
    ) -> None:
        """Take over other rules, routes, receivers and runbooks; alerts, incidents and runs stay."""
        self.settings = settings
        self.rules.reload(
            groups,
            settings.rules,
            settings.alertmanager.external_url,
            settings.analyzer.external_labels,
        )
        self.peers.reconfigure(settings.analyzer.dead_man.peers)
        self.alerting.reconfigure(settings, explained_by(groups), now, flapping_by(groups))
        self.records.retention = settings.alertmanager.fleetowl.log_retention
        self.runbooks.reconfigure(runbooks, settings.runbooks)
        self.demand.follow(groups, now)

    def evaluate(self, expression: Expression, at: int) -> Answer:
        """The value of an expression at `at` (ms), with the look-back that the rules have."""
        return expression.evaluate(self.window, at, self.settings.rules.options())

    def samples(self, now: int) -> Iterator[Sample]:
        """The metrics of every room."""
        for room in (self.window, self.frames, self.scoring, self.rules, self.incidents, self.runbooks):
            yield from room.samples()
        yield from self.inventory.samples()
        yield from self.feedback.samples()
        yield from self.dispatcher.samples(now)
        yield from self.alerting.silences.samples(now)
        yield from self.backlog.samples()
        yield from self.peers.samples()
        yield from self.records.samples()
        yield from self.alerting.people.samples(self.incidents)
        yield from self.tick.samples()
        yield Sample("fleetowl_store_up", {}, float(bool(self.kept) and self.lasting))

    # The steps of the tick.

    def _steps(self) -> list[Step]:
        return [
            Step("targets", self._targets),
            Step("scores", self._scores),
            Step("accepted", self._accepted),
            Step("rules", self._rules),
            Step("peers", self._peers),
            Step("incidents", self._incidents),
            Step("notifications", self._notifications),
            Step("runbooks", self._runbooks),
            Step("state", self._keep),
            Step("window", self._compact),
        ]

    def _targets(self, now: int) -> None:
        self.frames.expire(now)
        self.inventory.step(now)
        self._watch.step(now)

    def _scores(self, now: int) -> None:
        self.scoring.step(now)
        self.demand.step(now)
        self.feedback.step(now)

    def _accepted(self, now: int) -> None:
        """First of all, so that no later step's failure keeps what senders sent from being told."""
        self.alerts, self._taken = [], False
        self.alerts, self._taken = self.backlog.take(self.at_once), True

    def _rules(self, now: int) -> None:
        self.alerts = [*self.rules.step(now), *self.alerts]

    def _peers(self, now: int) -> None:
        self.peers.heard(self.alerts, now)
        self.alerts += self.peers.step(now)

    def _incidents(self, now: int) -> None:
        self.alerts = self.alerting.correlate(now, self.alerts)
        self._happenings.step(now)

    def _notifications(self, now: int) -> None:
        more = len(self.backlog) > 0
        self._effects.notifications = self.alerting.notify(now, self.alerts, more=more)
        if self._taken:
            self.backlog.settle()

    def _runbooks(self, now: int) -> None:
        def query(text: str) -> Vector:
            value = self.evaluate(parse_once(text), now)
            assert isinstance(value, Vector)  # the runbook's loader admits nothing else
            return value

        self._effects.intents = self.runbooks.step(now, self.alerts, query, self.view)

    def _keep(self, now: int) -> None:
        self.keep()
        if not self.kept and self._effects.notifications and not self._told_unkept:
            self._told_unkept = True
            log.error(
                "notifications leave though they are not on disk: nobody waits for a broken database, "
                "but what is told now may be told again after a restart"
            )
        self._effects.intents += self.runbooks.due(now)

    def _compact(self, now: int) -> None:
        if 0 <= now - self._compacted_at < COMPACT_INTERVAL:
            return
        self._compacted_at = now
        remap = self.window.compact(now, COMPACT_SLACK)
        if remap is not None:
            self.scoring.remap(remap)
            self.rules.remap(remap)


def _rule_engine(
    settings: CentralSettings,
    groups: list[RuleGroup],
    window: Window,
    started_at: int,
    timer: Callable[[], float],
) -> RuleEngine:
    return RuleEngine(
        window,
        groups,
        started_at,
        settings.rules,
        timer,
        settings.alertmanager.external_url,
        settings.analyzer.tick,
        settings.analyzer.external_labels,
    )


@lru_cache(maxsize=1024)
def parse_once(text: str) -> Expression:
    """An expression that is asked for at every tick."""
    return parse(text)
