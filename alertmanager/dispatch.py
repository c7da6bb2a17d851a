"""From alerts to notifications: which group tells which integration what, and when.

    notifications = dispatcher.step(now, alerts)      # decide
    persist(database, [..., dispatcher])              # keep what was decided
    outcome = await sender.send(notification)         # tell
    dispatcher.record(notification, outcome, now)     # note the answer, kept with the next tick

A tick in which nothing is due costs nothing, however many alerts fire: what happens by the clock waits in
heaps, and what a group has to say is looked at anew only when the group, a stage or a silence changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from alertmanager.alerts import Alerts
from alertmanager.fingerprints import prefill
from alertmanager.flush import Briefs, Flushing
from alertmanager.grouping import Group, GroupId, Groups, LastTold
from alertmanager.intervals import Intervals
from alertmanager.ledger import Ledger, NoLedger
from alertmanager.metrics import Stats, gauges
from alertmanager.nflog import Told
from alertmanager.notification import PAGE, Brief, Notification, Outcome, Page, Pending
from alertmanager.outbox import GivenUp, Outbox, after_failure
from alertmanager.pages import delivery_of, notification_of
from alertmanager.rate import Rates
from alertmanager.route import Route, build_route, routing_labels
from alertmanager.settings import AlertmanagerSettings
from alertmanager.stages import Held, Stage, Stages
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.metric import Sample
from model.moment import HOUR, format_duration
from store.kept import Kept

log = logging.getLogger("fleetowl.alertmanager")


def no_briefs(incidents: Sequence[str]) -> Sequence[Brief]:
    """Nothing beyond the alerts."""
    return ()


class Dispatcher:
    """The whole of the alertmanager's decisions; implements Durable."""

    def __init__(
        self,
        settings: AlertmanagerSettings,
        stages: Sequence[Stage] = (),
        ledger: Ledger | None = None,
        briefs: Briefs = no_briefs,
    ) -> None:
        self.linked: Callable[[Notification], Notification] = lambda notification: notification
        self.acknowledged: Callable[[str], bool] = lambda incident: False
        self.stats = Stats()
        self._unknown_receivers: set[str] = set()
        self._cleaned_at = 0
        self._now = 0
        self._alerts = Alerts(settings.global_.resolve_timeout)
        self._own, self._plain = settings.fleetowl, settings.plain
        self._root = build_route(settings.route)
        self._flushing = Flushing(
            self._alerts,
            self._new_groups(),
            Stages(stages),
            intervals_of(settings),
            Rates(settings),
            ledger or NoLedger(),
            briefs,
            lambda notification: self.linked(notification),
            lambda incident: self.acknowledged(incident),
            integrations_of(settings),
        )
        self._configure(settings)

    def step(self, now: int, alerts: Sequence[Alert], *, more: bool = False) -> list[Notification]:
        """Take in these alerts and return what is to be sent now, the most urgent first.

        With `more`, others were accepted and come with the next step: a group is not told in part for that.
        """
        if now < self._now:
            self._clock_went_back(now)
        self._now = now
        self._groups.filling = more
        self._take(alerts, now)
        self.stages.step(now)
        self._flushing.run(now)
        if now - self._cleaned_at >= HOUR:
            self._clean(now)
        return self._outbox.leaving(now)

    def page(self, pages: Sequence[Page], now: int) -> list[Decision]:
        """Take these pages; they leave with the next step. A key is taken once, whoever repeats it."""
        return [self._page(page, now) for page in pages]

    def told(self, incident: str) -> Told | None:
        """The most urgent tier at which people were told of an incident, and when they last were."""
        return self._flushing.told_of.get(incident)

    def record(self, notification: Notification, outcome: Outcome, now: int) -> Decision:
        """Note a receiver's answer; the sentence belongs into the incidents' timelines."""
        delivery = notification.delivery
        pending = self._outbox.get(delivery)
        if pending is None or pending.notification.dedup_key != notification.dedup_key:
            return refuse(f"{delivery} answered for a notification that is not under way any more")
        if outcome.ok:
            self.stats.sent[delivery[1:]] += 1
            self._flushing.close(pending.notification, now, delivered=True)
            decision = allow(f"notified {delivery} of {_what(notification)}: {outcome.answer}")
        else:
            kind = "failed" if outcome.retry else "refused"
            self.stats.failed[(delivery.receiver, delivery.integration, kind)] += 1
            decision = self._failed(pending, outcome, now)
        self._flushing.ledger.answered(notification, outcome, decision, now)
        return decision

    def reconfigure(self, settings: AlertmanagerSettings, now: int) -> None:
        """Take other settings; what is under way goes on where its receiver is still there."""
        self._own, self._plain = settings.fleetowl, settings.plain
        self._root = build_route(settings.route)
        self._alerts.resolve_timeout = settings.global_.resolve_timeout
        self._flushing.integrations = integrations_of(settings)
        self._flushing.muting = intervals_of(settings)
        self._flushing.rates.configure(settings)
        self._unknown_receivers.clear()
        self._configure(settings)
        self._regroup(now)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return any(kept.dirty for kept in self._tables)

    def load(self, tx: Connection, now: int) -> None:
        """Take over what was kept; what was under way is sent again at the next step."""
        for kept in self._tables:
            kept.load(tx)
        prefill([alert.labels for alert in self._alerts.kept.values()])
        self._outbox.loaded(now, self._own.retry)
        self._flushing.no_later_than(now)
        self._flushing.behind.clear()
        self._alerts.restored(now)
        self._regroup(now, restarted=True)
        self.stages.observe(self._alerts.kept.values(), now)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        for kept in self._tables:
            kept.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        for kept in self._tables:
            kept.saved()

    @property
    def stages(self) -> Stages:
        """What may hold an alert back."""
        return self._flushing.stages

    @property
    def ledger(self) -> Ledger:
        """Who keeps account."""
        return self._flushing.ledger

    @property
    def alerts(self) -> list[Alert]:
        """Every accepted alert that fires, or whose end somebody must still hear of."""
        return list(self._alerts.kept.values())

    @property
    def held(self) -> dict[int, Held]:
        """The alerts that stay back, by fingerprint: from at least one of their groups."""
        return self._flushing.held

    def held_in(self, group: Group) -> tuple[Held, ...]:
        """What stayed back when a group was last flushed."""
        return self._flushing.holding.get(group.id, ())

    @property
    def pending(self) -> list[Notification]:
        """What waits for an answer, for the API and for a graceful stop."""
        return [pending.notification for pending in self._outbox.values()]

    @property
    def waiting(self) -> list[Pending]:
        """What waits for an answer, and when it is tried next."""
        return list(self._outbox.values())

    @property
    def resolve_timeout(self) -> int:
        """How long (ms) an alert without an end lasts after it was last heard of."""
        return self._alerts.resolve_timeout

    def knows(self, fingerprint: int) -> bool:
        """Whether an alert is among `alerts`."""
        return self._alerts.knows(fingerprint)

    def heard_at(self, alert: Alert) -> int:
        """When (ms) somebody last reported this alert; 0 if it is not known."""
        episode = self._alerts.find(alert)
        return episode.heard if episode else 0

    def ends_at(self, alert: Alert) -> int | None:
        """When (ms) an alert ended, or will unless it is repeated; None for one that is not known."""
        episode = self._alerts.find(alert)
        return episode.until if episode else None

    def routes_of(self, alert: Alert) -> list[Route]:
        """The routes that take an alert."""
        return self._root.match(routing_labels(alert, plain=self._plain))

    def groups(self) -> list[tuple[Group, list[Alert]]]:
        """The groups and their alerts."""
        return [(group, [self._alerts[key] for key in group.members.values()]) for group in self._groups]

    def groups_of(self, fingerprint: int) -> list[Group]:
        """The groups that an alert is in now."""
        return [group for group in self._groups if fingerprint in group.members]

    def next_at(self) -> int | None:
        """When (ms) there is something to do without a new alert; None if never, 0 if at once."""
        moments = (self._alerts.next_at, self._flushing.next_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def noise(self) -> dict[str, int]:
        """How many alerts came in, and what became of them: see noise.py for how each is counted."""
        return self._flushing.noise.counts()

    def samples(self, now: int) -> Iterator[Sample]:
        """Own metrics."""
        yield from self.stats.samples()
        yield from self._flushing.noise.samples()
        for stage, count in self.stages.counts.items():
            yield Sample("fleetowl_alertmanager_stage_held_total", {"stage": stage}, count)
        for receiver, count in self._flushing.rates.waiting().items():
            yield Sample("fleetowl_alertmanager_groups_put_off", {"receiver": receiver}, count)
        ended = (alert.resolved_at(now) for alert in self._alerts.kept.values())
        yield from gauges(ended, len(self._groups), (delivery[1:] for delivery in self._outbox))

    def has_own_route(self, alert: Alert) -> bool:
        """Whether a route below the root takes the alert: somebody has asked for it."""
        return self.routes_of(alert) != [self._root]

    @property
    def _groups(self) -> Groups:
        return self._flushing.groups

    @property
    def _outbox(self) -> Outbox:
        return self._flushing.outbox

    @property
    def _tables(self) -> tuple[Kept[Any, Any], ...]:
        flushing = self._flushing
        return (self._alerts.kept, flushing.log, flushing.outbox.kept, flushing.told_of)

    def _configure(self, settings: AlertmanagerSettings) -> None:
        """Stages that the settings want off are not asked."""
        wanted = {"topology": self._own.topology, "flap": self._own.flap}
        self.stages.switch_off([name for name, on in wanted.items() if not on])

    def _new_groups(self) -> Groups:
        def told(group: GroupId) -> LastTold | None:
            return self._flushing.last_told(group)

        return Groups(self._root, self._own, self._alerts, told, plain=self._plain)

    def _take(self, alerts: Sequence[Alert], now: int) -> None:
        prefill([alert.labels for alert in alerts])
        changed = [key for alert in alerts for key in self._alerts.take(alert, now)]
        news = len(changed)
        changed += self._alerts.expire(now)
        joined = self._groups.joined
        for key in changed:
            self._groups.place(key, now)
        self._flushing.noise.received(len(alerts), min(news, len(alerts)))
        self._flushing.noise.grouped(self._groups.joined - joined)
        moved, self._alerts.moved = self._alerts.moved, []
        if changed:
            found = [self._alerts[key] for key in changed if key in self._alerts.kept]
            self.stages.observe(found, now)
            self._flushing.ledger.changed(found, now)
        if moved and self.stages.hears:
            self.stages.observe([self._alerts[key] for key in moved if key in self._alerts.kept], now)

    def _regroup(self, now: int, *, restarted: bool = False) -> None:
        """Every alert into its group before the first of them is told: no group is told in part."""
        integrations = self._flushing.integrations
        for delivery in self._outbox:
            if delivery.integration not in integrations.get(delivery.receiver, {}):
                log.error("%s is not configured any more: what it was to be told is dropped", delivery)
                self._outbox.remove(delivery)
        before = self._groups
        groups = self._new_groups()
        self._flushing.groups = groups
        for key in self._alerts:
            self._alerts.episode(key).groups = ()
        for key in list(self._alerts):
            groups.place(key, now)
        if not restarted:
            groups.adopt(before)
        self._flushing.regrouped(groups)

    def _clock_went_back(self, now: int) -> None:
        """Nothing may wait for a moment that was near before the clock was set back."""
        log.warning("the clock went back by %s", format_duration(self._now - now))
        self._alerts.restored(now, was=self._now)
        self._flushing.no_later_than(now)
        self._cleaned_at = min(self._cleaned_at, now)
        self._regroup(now)
        for group in self._groups:
            self._groups.hasten(group, now + group.route.group_interval)
        self._outbox.clock_went_back(now, self._own.retry.min_backoff)

    def _page(self, page: Page, now: int) -> Decision:
        integrations = self._flushing.integrations.get(page.receiver)
        if integrations is None:
            why = f"the page {page.key} goes nowhere: there is no receiver {page.receiver!r}"
            if page.receiver not in self._unknown_receivers:
                self._unknown_receivers.add(page.receiver)
                log.error("%s (known: %s)", why, ", ".join(sorted(self._flushing.integrations)))
            return refuse(why)
        if not integrations:
            return refuse(
                f"the page {page.key} goes nowhere: the receiver {page.receiver!r} has no integration"
            )
        wanted = [name for name, hears_ends in integrations.items() if hears_ends or not page.resolved]
        if not wanted:
            return refuse(f"the page {page.key} goes nowhere: {page.receiver} wants to hear of no end")
        deliveries = [delivery_of(page, integration) for integration in wanted]
        fresh = [one for one in deliveries if one not in self._outbox and one not in self._flushing.log]
        if not fresh:
            return refuse(f"the page {page.key} was decided before")
        briefs = self._flushing.briefs(sorted({alert.incident for alert in page.alerts if alert.incident}))
        for delivery in fresh:
            self._flushing.freeze(notification_of(page, delivery, briefs, now), now)
        return allow(f"{page.receiver} is paged: {page.why}")

    def _failed(self, pending: Pending, outcome: Outcome, now: int) -> Decision:
        notification = pending.notification
        delivery = notification.delivery
        what = f"{delivery} did not take {_what(notification)}: {outcome.answer}"
        next_try = after_failure(pending, outcome, self._own.retry, now)
        if isinstance(next_try, GivenUp):
            self.stats.given_up[delivery[1:]] += 1
            self._flushing.close(notification, now, delivered=False)
            why = f"{what}; given up, for {next_try.why}"
            log.error(why)
            return refuse(why)
        wait, refusals = next_try
        again = replace(notification, attempt=notification.attempt + 1)
        self._outbox.put(Pending(again, now + wait, refusals))
        why = f"{what}; attempt {again.attempt} in {format_duration(wait)}"
        log.warning(why)
        return refuse(why)

    def _clean(self, now: int) -> None:
        """Forget what was notified long ago of groups that are gone."""
        self._cleaned_at = now
        retention = self._own.log_retention
        entries = self._flushing.log
        for delivery, entry in list(entries.items()):
            if now - entry.at > retention and (delivery.group_key, delivery.receiver) not in self._groups:
                del entries[delivery]
        there = {incident for _, incident in self._alerts}
        for incident, told in list(self._flushing.told_of.items()):
            if now - told.at > retention and incident not in there:
                del self._flushing.told_of[incident]


def intervals_of(settings: AlertmanagerSettings) -> Intervals:
    """What mutes routes by the time of day."""
    return Intervals.of(settings)


def integrations_of(settings: AlertmanagerSettings) -> dict[str, dict[str, bool]]:
    """By receiver: its integrations, and whether each wants to hear of ends."""
    return {
        receiver.name: {
            f"{kind}[{position}]": config.send_resolved for kind, position, config in receiver.integrations()
        }
        for receiver in settings.receivers
    }


def _what(notification: Notification) -> str:
    if notification.is_page and not notification.alerts:
        return f"the page {notification.group_key.removeprefix(PAGE)}"
    count = len(notification.alerts)
    alerts = f"{count} alert{'s' if count != 1 else ''}"
    return f"{alerts} ({notification.status}, {', '.join(notification.incidents) or 'no incident'})"
