"""A flush: what a group has to say now, and which of its integrations must hear it.

Each integration of each group has at most one notification under way. What changed meanwhile is told right
after it (`catch_up`), so an integration that fails neither holds up the others nor makes them hear twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from alertmanager.alerts import Alerts
from alertmanager.grouping import Group, GroupId, Groups, LastTold
from alertmanager.ledger import Ledger
from alertmanager.nflog import LogEntry, Told, needs_update
from alertmanager.noise import Noise
from alertmanager.notification import Brief, Delivery, Notification, Pending, dedup_key
from alertmanager.outbox import Outbox
from alertmanager.rate import Rates
from alertmanager.sifted import Sifted
from alertmanager.stages import DELAYS_ENDS, Held, Muting, Stages
from alertmanager.tables import EpisodeKey, kept_log, kept_told
from model.alert import Alert, Tier
from model.decision import Decision

NEVER = sys.maxsize
"""When a group is due that waits for something else than the time."""

Briefs = Callable[[Sequence[str]], Sequence[Brief]]
"""What a message says of these incidents; asked once, when the notification is decided."""


@dataclass
class Flushing:
    """The rooms that a flush goes through. What a reload replaces is set anew by the dispatcher."""

    alerts: Alerts
    groups: Groups
    stages: Stages
    muting: Muting
    rates: Rates
    ledger: Ledger
    briefs: Briefs
    linked: Callable[[Notification], Notification]
    acknowledged: Callable[[str], bool]
    integrations: dict[str, dict[str, bool]]
    """By receiver: its integrations, and whether each wants to hear of ends."""

    def __post_init__(self) -> None:
        self.outbox = Outbox()
        self.log = kept_log()
        self.told_of = kept_told()
        self.noise = Noise()
        self.holding: dict[GroupId, tuple[Held, ...]] = {}
        self.held: dict[int, Held] = {}
        self.behind: set[Delivery] = set()
        self._late: dict[GroupId, Group] = {}

    def last_told(self, group: GroupId) -> LastTold | None:
        """What the notification log knows of a group."""
        entries = [self.log[delivery] for delivery in self.deliveries(group) if delivery in self.log]
        if not entries:
            return None
        firing = entries[0].firing
        if any(entry.firing != firing for entry in entries):
            firing = frozenset().union(*(entry.firing for entry in entries))
        return LastTold(max(entry.at for entry in entries), firing)

    def deliveries(self, group: GroupId) -> list[Delivery]:
        """The group's integrations."""
        key, receiver = group
        return [Delivery(key, receiver, integration) for integration in self.integrations[receiver]]

    def run(self, now: int) -> None:
        """Flush every group whose time has come, or whose receiver is free again."""
        for group in self.groups.due(now):
            self.flush(group, now)
        for group in self.rates.ready(now):
            self.flush(group, now)
        late, self._late = self._late, {}
        for group in late.values():
            if self.groups.get(group.id) is group:
                self.catch_up(group, now)

    def flush(self, group: Group, now: int) -> None:
        """Decide for every integration of the group what it must hear."""
        sifted = self.sift(group, now)
        muted = self.muting.muted(group.route, now)
        deliveries = self.deliveries(group.id)
        news: dict[Delivery, Decision] = {}
        if not muted:
            news = dict(self._news(group, sifted, (one for one in deliveries if one not in self.outbox), now))
            if news and not self._may_leave(group, sifted, now):
                return
        self._hold(group, self._all_held(sifted, "time_intervals", muted.why) if muted else sifted.held, now)
        self.groups.schedule(group, now + group.route.group_interval)
        group.flushed, group.put_off = True, False
        group.told = sifted.firing
        later = self._ends_later(group, sifted)
        group.ended = {one: self.alerts[group.members[one]] for one in group.over if one not in later}
        if not muted:
            for delivery in deliveries:
                if delivery in self.outbox:
                    self.behind.add(delivery)
                else:
                    self.behind.discard(delivery)
            self._tell(group, sifted, news, now)
        self.settle(group)

    def _ends_later(self, group: Group, sifted: Sifted) -> frozenset[int]:
        """Alerts that a receiver believes to fire and whose end is told later: they are not forgotten."""
        held = {one.alert.fingerprint for one in sifted.held if one.stage in DELAYS_ENDS}
        entries = [self.log[one] for one in self.deliveries(group.id) if one in self.log] if held else []
        return frozenset(one for one in held if any(one in entry.firing for entry in entries))

    def catch_up(self, group: Group, now: int) -> None:
        """Flush for those integrations only that were busy when the group was flushed."""
        late = [one for one in self.deliveries(group.id) if one in self.behind and one not in self.outbox]
        if not late or self.muting.muted(group.route, now):
            self.behind.difference_update(late)
            return self.settle(group)
        sifted = self.sift(group, now)
        news = dict(self._news(group, sifted, late, now))
        if news and not self._may_leave(group, sifted, now):
            return None
        self.behind.difference_update(late)
        self._tell(group, sifted, news, now)
        return self.settle(group)

    def sift(self, group: Group, now: int) -> Sifted:
        """What the stages let through; asked anew only when the group or an answer may have changed."""
        version = (group.version, self.stages.version)
        if group.sifted is None or group.sifted.version != version:
            group.sifted = self._sifted(group, version, now)
        return group.sifted

    def settle(self, group: Group) -> None:
        """Let go of the ended alerts of the last flush, once every integration knows of them."""
        if any(one in self.outbox or one in self.behind for one in self.deliveries(group.id)):
            return
        for fingerprint in list(group.ended):
            self.groups.remove(group, fingerprint)
            self.held.pop(fingerprint, None)
        self.groups.drop_if_empty(group)
        if not group.members:
            self._hold(group, (), 0)

    def freeze(self, notification: Notification, now: int) -> None:
        """From here on it is repeated as it is until the receiver takes it."""
        notification = self.linked(notification)
        self.outbox.put(Pending(notification, next_at=now))
        for alert in notification.alerts:
            if alert.incident and not alert.resolved_at(now):
                tier = alert.tier if notification.urgency is None else notification.urgency
                self._note_told(alert.incident, tier, now)
        self.ledger.decided(notification, now)

    def close(self, notification: Notification, now: int, *, delivered: bool) -> None:
        """The receiver knows (or was given up): note it, and let the group go on."""
        delivery = notification.delivery
        at = min(notification.at, now)  # the clock may have been set back since
        self.log[delivery] = LogEntry(
            notification.firing, notification.resolved, at, notification.sequence, delivered
        )
        self.outbox.remove(delivery)
        group = self.groups.get((delivery.group_key, delivery.receiver))
        if group is None:
            self.behind.discard(delivery)
        elif delivery in self.behind:
            self._late[group.id] = group
        else:
            self.settle(group)

    def no_later_than(self, now: int) -> None:
        """What a clock that ran ahead has noted counts as noted now, or repetitions would wait for it."""
        for delivery, entry in list(self.log.items()):
            if entry.at > now:
                self.log[delivery] = replace(entry, at=now)
        for incident, told in list(self.told_of.items()):
            if told.at > now:
                self.told_of[incident] = replace(told, at=now)

    def regrouped(self, groups: Groups) -> None:
        """There are other groups now; those that waited for their receiver's turn ask again."""
        self.groups = groups
        self.rates.forget_waiting()
        self._late = {}
        self.holding, self.held = {}, {}
        self.behind = {one for one in self.behind if groups.get((one.group_key, one.receiver)) is not None}
        for delivery in self.behind:
            group = groups.get((delivery.group_key, delivery.receiver))
            if group is not None and delivery not in self.outbox:
                self._late[group.id] = group

    @property
    def next_at(self) -> int | None:
        """When (ms) there is something to do; 0 is at once."""
        if self._late:
            return 0
        moments = (self.groups.next_at, self.rates.next_at, self.outbox.next_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def _sifted(self, group: Group, version: tuple[int, int], now: int) -> Sifted:
        members = [(self.alerts[key], key) for key in group.members.values()]
        members.sort(key=lambda member: (member[0].starts_at, member[0].labels.pairs))
        held: Sequence[Held] = ()
        if self.stages.asks:
            held = self.stages.sift([alert for alert, _ in members], group.route, now)[1]
            stays = {one.alert.fingerprint for one in held}
            members = [member for member in members if member[1][0] not in stays]
        ended = frozenset(key[0] for alert, key in members if alert.resolved_at(now))
        firing = frozenset(key[0] for _, key in members if key[0] not in ended)
        # One set for all who remember it: comparing it with itself is free.
        firing = group.told if group.told == firing else firing
        incidents = frozenset(key[1] for _, key in members if key[0] not in ended)
        return Sifted(version, tuple(key for _, key in members), firing, ended, incidents, tuple(held))

    def _news(
        self, group: Group, sifted: Sifted, deliveries: Iterable[Delivery], now: int
    ) -> Iterator[tuple[Delivery, Decision]]:
        """The integrations that must be told, and why."""
        # What somebody has acknowledged is not repeated to them; news of it is told as ever.
        known = all(map(self.acknowledged, sifted.incidents))
        for delivery in deliveries if sifted.going else ():
            entry = self.log.get(delivery)
            decision = needs_update(
                entry,
                sifted.firing,
                sifted.ended,
                send_resolved=self.integrations[delivery.receiver][delivery.integration],
                repeat_interval=now + 1 if known else group.route.repeat_interval,
                now=now,
            )
            if decision:
                yield delivery, decision

    def _may_leave(self, group: Group, sifted: Sifted, now: int) -> bool:
        """Whether the receiver may get a message; else the group waits, and nothing of it is noted."""
        receiver = group.route.receiver
        urgent = not sifted.firing.isdisjoint(group.urgent)
        allowed = self.rates.allows(receiver, now)
        if allowed or urgent:
            self.rates.spend(receiver, now)
            return True
        tier = min((self.alerts[key].tier for key in sifted.going), default=Tier.P3)
        self.rates.wait(group, tier, now)
        self._hold(group, self._all_held(sifted, "rate", allowed.why), now)
        group.due_at = NEVER
        return False

    def _tell(self, group: Group, sifted: Sifted, news: dict[Delivery, Decision], now: int) -> None:
        """Freeze a notification for each integration that must be told."""
        if not news:
            return
        batch = tuple(_as_of(self.alerts[key], now) for key in sifted.going)
        self.noise.mark("notified", map(self.alerts.episode, sifted.going))
        firing_only = None
        for delivery, decision in news.items():
            entry = self.log.get(delivery)
            sequence = entry.sequence + 1 if entry else 1
            told = batch
            if not self.integrations[delivery.receiver][delivery.integration] and sifted.ended:
                if firing_only is None:
                    firing_only = tuple(alert for alert in batch if alert.fingerprint in sifted.firing)
                told = firing_only
            if not told:  # it does not want to hear of ends, but the log must know them
                self.log[delivery] = LogEntry(sifted.firing, sifted.ended, now, sequence)
                continue
            notification = Notification(
                delivery,
                group.labels,
                told,
                sifted.firing,
                sifted.ended,
                now,
                sequence,
                dedup_key(delivery, told, now, sequence),
                decision.why,
            )
            briefs = tuple(self.briefs(notification.incidents))
            self.freeze(replace(notification, briefs=briefs) if briefs else notification, now)

    def _hold(self, group: Group, held: Sequence[Held], now: int) -> None:
        """Remember what stays back, and say so when it is not what stayed back before."""
        before = self.holding.get(group.id, ())
        if held is before or (not held and not before):
            return
        for one in before:
            self.held.pop(one.alert.fingerprint, None)
        self.held.update((one.alert.fingerprint, one) for one in held)
        if held:
            self.holding[group.id] = tuple(held)
            for stage in {one.stage for one in held}:
                keys = ((one.alert.fingerprint, one.alert.incident) for one in held if one.stage == stage)
                self.noise.mark(stage, map(self.alerts.episode, keys))
        else:
            del self.holding[group.id]
        if _reasons(held) != _reasons(before):
            self.ledger.held(group.key, group.route.receiver, held, now)

    def _all_held(self, sifted: Sifted, stage: str, why: str) -> tuple[Held, ...]:
        return (*sifted.held, *(Held(self.alerts[key], stage, why) for key in sifted.going))

    def _note_told(self, incident: str, tier: Tier, now: int) -> None:
        before = self.told_of.get(incident)
        if before is not None:
            tier = min(tier, before.tier)
            if before == Told(tier, now):
                return
        self.told_of[incident] = Told(tier, now)


def _as_of(alert: Alert, now: int) -> Alert:
    """An alert that fires does not end in a frozen message only because time goes on."""
    if alert.ends_at is None or alert.ends_at <= now:
        return alert
    return replace(alert, ends_at=None)


def _reasons(held: Iterable[Held]) -> set[tuple[EpisodeKey, str, str]]:
    return {((one.alert.fingerprint, one.alert.incident), one.stage, one.why) for one in held}
