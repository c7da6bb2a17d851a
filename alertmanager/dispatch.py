"""From alerts to notifications: which group tells which integration what, and when.

    notifications = dispatcher.step(now, alerts)      # decide
    persist(database, [..., dispatcher])              # keep what was decided
    outcome = await sender.send(notification)         # tell
    dispatcher.record(notification, outcome, now)     # note the answer, kept with the next tick

Each group and integration has at most one notification under way; it is frozen, and repeated as it is
until the receiver takes it or it is given up. What changed meanwhile is told right after. So an
integration that fails neither holds up the others nor makes them hear the same twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from alertmanager.alerts import Alerts
from alertmanager.grouping import Group, GroupId, Groups, LastTold
from alertmanager.ledger import Ledger, NoLedger
from alertmanager.metrics import Stats, gauges
from alertmanager.nflog import LogEntry, Told, needs_update
from alertmanager.notification import PAGE, Brief, Delivery, Notification, Outcome, Page, dedup_key
from alertmanager.outbox import GivenUp, Pending, after_failure
from alertmanager.pages import delivery_of, notification_of
from alertmanager.route import Route, build_route, routing_labels
from alertmanager.settings import AlertmanagerSettings
from alertmanager.stages import Held, Stage, Stages
from alertmanager.tables import kept_log, kept_pending, kept_told
from model.alert import Alert, Tier
from model.decision import Decision, allow, refuse
from model.metric import Sample
from model.moment import HOUR, MINUTE, format_duration
from store.kept import Kept

log = logging.getLogger("fleetowl.alertmanager")

UNANSWERED = 5 * MINUTE
"""A notification whose outcome nobody recorded for so long is handed out again (same dedup key)."""


Briefs = Callable[[Sequence[str]], Sequence[Brief]]
"""What a message says of these incidents; asked once, when the notification is decided."""


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
        self.ledger = ledger or NoLedger()
        self._briefs = briefs
        self.linked: Callable[[Notification], Notification] = lambda notification: notification
        self.acknowledged: Callable[[str], bool] = lambda incident: False
        self.stats = Stats()
        self.stages = Stages(stages)
        self.held: dict[int, Held] = {}
        self._log = kept_log()
        self._outbox = kept_pending()
        self._told_of = kept_told()
        self._unknown_receivers: set[str] = set()
        self._under_way: dict[Delivery, int] = {}
        self._behind: set[Delivery] = set()
        self._cleaned_at = 0
        self._now = 0
        self._configure(settings)
        self._alerts = Alerts(settings.global_.resolve_timeout)
        self._groups = self._new_groups()

    def step(self, now: int, alerts: Sequence[Alert]) -> list[Notification]:
        """Take in these alerts and return what is to be sent now, the most urgent first."""
        if now < self._now:
            self._clock_went_back(now)
        self._now = now
        changed = [key for alert in alerts for key in self._alerts.take(alert, now)]
        changed += self._alerts.expire(now)
        for key in changed:
            self._groups.place(key, now)
        alerts = [self._alerts[key] for key in changed]
        self.stages.observe(alerts, now)
        self.ledger.changed(alerts, now)
        self.stages.step(now)
        for group in self._groups:
            if group.due_at <= now:
                self._flush(group, now)
            elif self._behind:
                self._catch_up(group, now)
        if now - self._cleaned_at >= HOUR:
            self._clean(now)
        return self._leaving(now)

    def page(self, pages: Sequence[Page], now: int) -> list[Decision]:
        """Take these pages; they leave with the next step. A key is taken once, whoever repeats it."""
        return [self._page(page, now) for page in pages]

    def told(self, incident: str) -> Told | None:
        """The most urgent tier at which people were told of an incident, and when they last were."""
        return self._told_of.get(incident)

    def told_tier(self, incident: str) -> Tier | None:
        """The most urgent tier at which a notification about this incident was decided."""
        told = self._told_of.get(incident)
        return told.tier if told else None

    def record(self, notification: Notification, outcome: Outcome, now: int) -> Decision:
        """Note a receiver's answer; the sentence belongs into the incidents' timelines."""
        delivery = notification.delivery
        pending = self._outbox.get(delivery)
        if pending is None or pending.notification.dedup_key != notification.dedup_key:
            return refuse(f"{delivery} answered for a notification that is not under way any more")
        self._under_way.pop(delivery, None)
        if outcome.ok:
            self.stats.sent[delivery[1:]] += 1
            self._close(delivery, pending, now, delivered=True)
            decision = allow(f"notified {delivery} of {_what(notification)}: {outcome.answer}")
        else:
            kind = "failed" if outcome.retry else "refused"
            self.stats.failed[(delivery.receiver, delivery.integration, kind)] += 1
            decision = self._failed(delivery, pending, outcome, now)
        self.ledger.answered(notification, outcome, decision, now)
        return decision

    def reconfigure(self, settings: AlertmanagerSettings, now: int) -> None:
        """Take other settings; what is under way goes on where its receiver is still there."""
        self._configure(settings)
        self._alerts.resolve_timeout = settings.global_.resolve_timeout
        self._regroup(now)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return any(kept.dirty for kept in self._tables)

    @property
    def _tables(self) -> tuple[Kept[Any, Any], ...]:
        return (self._alerts.kept, self._log, self._outbox, self._told_of)

    def load(self, tx: Connection, now: int) -> None:
        """Take over what was kept; what was under way is sent again at the next step."""
        for kept in self._tables:
            kept.load(tx)
        self._under_way.clear()
        self._behind.clear()
        self._alerts.restored(now)
        self._regroup(now)
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
    def alerts(self) -> list[Alert]:
        """Every accepted alert that fires, or whose end somebody must still hear of."""
        return list(self._alerts.kept.values())

    def knows(self, fingerprint: int) -> bool:
        """Whether an alert is among `alerts`."""
        return self._alerts.knows(fingerprint)

    def heard_at(self, alert: Alert) -> int:
        """When (ms) somebody last reported this alert; 0 if it is not known."""
        return self._alerts.heard_at((alert.fingerprint, alert.incident))

    def routes_of(self, alert: Alert) -> list[Route]:
        """The routes that take an alert."""
        return self._root.match(routing_labels(alert))

    def groups(self) -> list[tuple[Group, list[Alert]]]:
        """The groups and their alerts."""
        return [(group, [self._alerts[key] for key in group.members.values()]) for group in self._groups]

    @property
    def pending(self) -> list[Notification]:
        """What waits for an answer, for the API and for a graceful stop."""
        return [pending.notification for pending in self._outbox.values()]

    def groups_of(self, fingerprint: int) -> list[Group]:
        """The groups that an alert is in now."""
        return [group for group in self._groups if fingerprint in group.members]

    @property
    def waiting(self) -> list[Pending]:
        """What waits for an answer, and when it is tried next."""
        return list(self._outbox.values())

    def next_at(self) -> int | None:
        """When (ms) `step` has something to do without a new alert; None if never."""
        moments = [pending.next_at for key, pending in self._outbox.items() if key not in self._under_way]
        moments += [since + UNANSWERED for since in self._under_way.values()]
        moments += [group.due_at for group in self._groups]
        moments += [self._now] if self._behind - self._outbox.keys() else []
        ends_at = self._alerts.next_at()
        return min(moments if ends_at is None else [*moments, ends_at], default=None)

    def samples(self, now: int) -> Iterator[Sample]:
        """Own metrics."""
        yield from self.stats.samples()
        for stage, count in self.stages.counts.items():
            yield Sample("fleetowl_alertmanager_stage_held_total", {"stage": stage}, count)
        ended = (alert.resolved_at(now) for alert in self._alerts.kept.values())
        yield from gauges(ended, len(self._groups), (delivery[1:] for delivery in self._outbox))

    def has_own_route(self, alert: Alert) -> bool:
        """Whether a route below the root takes the alert: somebody has asked for it."""
        return self._root.match(routing_labels(alert)) != [self._root]

    def _configure(self, settings: AlertmanagerSettings) -> None:
        self._settings = settings
        self._root = build_route(settings.route)
        self._send_resolved = {
            receiver.name: {
                f"{kind}[{position}]": config.send_resolved
                for kind, position, config in receiver.integrations()
            }
            for receiver in settings.receivers
        }

    def _new_groups(self) -> Groups:
        return Groups(self._root, self._settings.fleetowl, self._alerts, self._told)

    def _regroup(self, now: int) -> None:
        for delivery in list(self._outbox):
            if delivery.integration not in self._send_resolved.get(delivery.receiver, {}):
                log.error("%s is not configured any more: what it was to be told is dropped", delivery)
                del self._outbox[delivery]
        self._groups = self._new_groups()
        for key in list(self._alerts):
            self._groups.place(key, now)
        self._behind = {delivery for delivery in self._behind if self._groups.get(delivery[:2]) is not None}

    def _clock_went_back(self, now: int) -> None:
        """Nothing may wait for a moment that was near before the clock was set back."""
        log.warning("the clock went back by %s", format_duration(self._now - now))
        self._alerts.restored(now)
        for group in self._groups:
            group.hasten(now + group.route.group_interval)
        first = self._settings.fleetowl.retry.min_backoff
        for delivery, pending in self._outbox.items():
            self._outbox.put(delivery, replace(pending, next_at=min(pending.next_at, now + first)))
        self._under_way = dict.fromkeys(self._under_way, now)

    def _told(self, group: GroupId) -> LastTold | None:
        entries = [self._log[delivery] for delivery in self._deliveries(group) if delivery in self._log]
        if not entries:
            return None
        firing = frozenset().union(*(entry.firing for entry in entries))
        return LastTold(max(entry.at for entry in entries), firing)

    def _deliveries(self, group: GroupId) -> list[Delivery]:
        key, receiver = group
        return [Delivery(key, receiver, integration) for integration in self._send_resolved[receiver]]

    def _flush(self, group: Group, now: int) -> None:
        """Decide for every integration of the group what it must hear."""
        batch = self._batch(group, now)
        group.due_at = now + group.route.group_interval
        group.flushed = True
        group.told = frozenset(alert.fingerprint for alert in batch if not alert.resolved_at(now))
        group.ended = {
            fingerprint: self._alerts[key]
            for fingerprint, key in group.members.items()
            if self._alerts[key].resolved_at(now)
        }
        for delivery in self._deliveries(group.id):
            self._decide(delivery, group, batch, now)
        self._settle(group)

    def _catch_up(self, group: Group, now: int) -> None:
        """Flush for those integrations only that were busy when the group was flushed."""
        behind = [
            delivery
            for delivery in self._deliveries(group.id)
            if delivery in self._behind and delivery not in self._outbox
        ]
        if behind:
            batch = self._batch(group, now)
            for delivery in behind:
                self._decide(delivery, group, batch, now)
            self._settle(group)

    def _batch(self, group: Group, now: int) -> list[Alert]:
        """The group's alerts that no stage holds back, in the order in which they began."""
        alerts = sorted(
            (self._alerts[key] for key in group.members.values()),
            key=lambda alert: (alert.starts_at, alert.labels.pairs),
        )
        going, held = self.stages.sift(alerts, group.route, now)
        for alert in going:
            self.held.pop(alert.fingerprint, None)
        self.held.update((stays.alert.fingerprint, stays) for stays in held)
        stays = frozenset((one.alert.fingerprint, one.stage, one.why) for one in held)
        if stays != group.stays:
            group.stays = stays
            self.ledger.held(group.key, group.route.receiver, held, now)
        return going

    def _decide(self, delivery: Delivery, group: Group, batch: Sequence[Alert], now: int) -> None:
        if delivery in self._outbox:
            self._behind.add(delivery)
            return
        self._behind.discard(delivery)
        if not batch:
            return
        ended = frozenset(alert.fingerprint for alert in batch if alert.resolved_at(now))
        firing = frozenset(alert.fingerprint for alert in batch) - ended
        send_resolved = self._send_resolved[delivery.receiver][delivery.integration]
        entry = self._log.get(delivery)
        decision = needs_update(
            entry,
            firing,
            ended,
            send_resolved=send_resolved,
            repeat_interval=self._repeat_interval(group, batch, now),
            now=now,
        )
        if not decision:
            return
        sequence = entry.sequence + 1 if entry else 1
        told = tuple(alert for alert in batch if send_resolved or alert.fingerprint in firing)
        if not told:  # it does not want to hear of ends, but the log must know them
            self._log[delivery] = LogEntry(firing, ended, now, sequence)
            return
        key = dedup_key(delivery, told, now, sequence)
        notification = Notification(
            delivery, group.labels, told, firing, ended, now, sequence, key, decision.why
        )
        self._freeze(replace(notification, briefs=tuple(self._briefs(notification.incidents))), now)

    def _repeat_interval(self, group: Group, batch: Sequence[Alert], now: int) -> int:
        """What somebody has acknowledged is not repeated to them; news of it is told as ever."""
        if all(self.acknowledged(one.incident) for one in batch if not one.resolved_at(now)):
            return now + 1
        return group.route.repeat_interval

    def _freeze(self, notification: Notification, now: int) -> None:
        """From here on it is repeated as it is until the receiver takes it."""
        notification = self.linked(notification)
        self._outbox[notification.delivery] = Pending(notification, next_at=now)
        for alert in notification.alerts:
            if alert.incident and not alert.resolved_at(now):
                before = self._told_of.get(alert.incident)
                tier = alert.tier if notification.urgency is None else notification.urgency
                self._told_of[alert.incident] = Told(min(tier, before.tier) if before else tier, now)
        self.ledger.decided(notification, now)

    def _page(self, page: Page, now: int) -> Decision:
        if page.receiver not in self._send_resolved:
            why = f"the page {page.key} goes nowhere: there is no receiver {page.receiver!r}"
            if page.receiver not in self._unknown_receivers:
                self._unknown_receivers.add(page.receiver)
                log.error("%s (known: %s)", why, ", ".join(sorted(self._send_resolved)))
            return refuse(why)
        deliveries = [delivery_of(page, integration) for integration in self._send_resolved[page.receiver]]
        fresh = [one for one in deliveries if one not in self._outbox and one not in self._log]
        if not fresh:
            return refuse(f"the page {page.key} was decided before")
        briefs = self._briefs(sorted({alert.incident for alert in page.alerts if alert.incident}))
        for delivery in fresh:
            self._freeze(notification_of(page, delivery, briefs, now), now)
        return allow(f"{page.receiver} is paged: {page.why}")

    def _settle(self, group: Group) -> None:
        """Let go of the ended alerts of the last flush, once every integration knows of them."""
        deliveries = self._deliveries(group.id)
        if any(delivery in self._outbox or delivery in self._behind for delivery in deliveries):
            return
        for fingerprint in list(group.ended):
            self._groups.remove(group, fingerprint)
            self.held.pop(fingerprint, None)
        self._groups.drop_if_empty(group)

    def _close(self, delivery: Delivery, pending: Pending, now: int, *, delivered: bool) -> None:
        """The receiver knows (or was given up): note it, and let the group go on."""
        told = pending.notification
        self._log[delivery] = LogEntry(told.firing, told.resolved, told.at, told.sequence, delivered)
        del self._outbox[delivery]
        group = self._groups.get((delivery.group_key, delivery.receiver))
        if group is None:
            self._behind.discard(delivery)
        else:
            self._settle(group)

    def _failed(self, delivery: Delivery, pending: Pending, outcome: Outcome, now: int) -> Decision:
        notification = pending.notification
        what = f"{delivery} did not take {_what(notification)}: {outcome.answer}"
        next_try = after_failure(pending, outcome, self._settings.fleetowl.retry, now)
        if isinstance(next_try, GivenUp):
            self.stats.given_up[delivery[1:]] += 1
            self._close(delivery, pending, now, delivered=False)
            why = f"{what}; given up, for {next_try.why}"
            log.error(why)
            return refuse(why)
        wait, refusals = next_try
        again = replace(notification, attempt=notification.attempt + 1)
        self._outbox[delivery] = Pending(again, now + wait, refusals)
        why = f"{what}; attempt {again.attempt} in {format_duration(wait)}"
        log.warning(why)
        return refuse(why)

    def _leaving(self, now: int) -> list[Notification]:
        leaving = []
        for delivery, pending in self._outbox.items():
            since = self._under_way.get(delivery)
            if pending.next_at <= now and (since is None or now - since >= UNANSWERED):
                self._under_way[delivery] = now
                leaving.append(pending.notification)
        return sorted(leaving, key=lambda notification: (notification.tier, notification.at))

    def _clean(self, now: int) -> None:
        """Forget what was notified long ago of groups that are gone."""
        self._cleaned_at = now
        retention = self._settings.fleetowl.log_retention
        for delivery, entry in list(self._log.items()):
            if now - entry.at > retention and (delivery.group_key, delivery.receiver) not in self._groups:
                del self._log[delivery]
        there = {incident for _, incident in self._alerts}
        for incident, told in list(self._told_of.items()):
            if now - told.at > retention and incident not in there:
                del self._told_of[incident]


def _what(notification: Notification) -> str:
    if notification.is_page and not notification.alerts:
        return f"the page {notification.group_key.removeprefix(PAGE)}"
    count = len(notification.alerts)
    alerts = f"{count} alert{'s' if count != 1 else ''}"
    return f"{alerts} ({notification.status}, {', '.join(notification.incidents) or 'no incident'})"
