"""How many messages a receiver gets: a group whose receiver has had its share waits, and then tells all.

The rate is asked before a notification is frozen. So a group that waits is not a queue of old messages: when
its turn comes it says in one message everything that has come meanwhile. What has a P0 that fires never
waits, nor do pages. After a restart every receiver has its full share again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from alertmanager.grouping import Group
from alertmanager.settings import AlertmanagerSettings, RateSettings, ReceiverSettings
from model.alert import Tier
from model.decision import Decision, allow, refuse
from model.moment import format_duration

MACHINES = frozenset({"webhook", "log", "console"})
"""Kinds of integrations that no person reads one by one; unlimited unless a rate names their receiver."""

_Waiting = tuple[Tier, int, int, Group]


@dataclass
class Share:
    """What one receiver may still get. `full_at` (ms) is when it has its whole share again.

    Source: the generic cell rate algorithm of ATM Forum's traffic management (a leaky bucket as one number).
    """

    settings: RateSettings
    full_at: int = 0

    @property
    def cost(self) -> float:
        """How long (ms) it takes until one more message is allowed."""
        return self.settings.per / self.settings.messages

    def next_at(self) -> float:
        """When (ms) the next message is allowed."""
        return self.full_at - self.settings.per + self.cost

    def spend(self, now: int) -> None:
        """A message leaves; a debt is never more than the whole share."""
        begin = max(min(self.full_at, now + self.settings.per), now)
        self.full_at = round(min(begin + self.cost, now + self.settings.per))


class Rates:
    """The shares of all receivers, and the groups that wait for theirs."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._shares: dict[str, Share] = {}
        self._waiting: dict[str, list[_Waiting]] = {}
        self._count = 0
        self.put_off_count = 0
        self.configure(settings)

    def configure(self, settings: AlertmanagerSettings) -> None:
        """Take other rates; what was spent stays spent."""
        self.forget_waiting()
        before, self._shares = self._shares, {}
        for receiver in settings.receivers:
            rate = rate_of(receiver, settings)
            if rate is not None:
                old = before.get(receiver.name)
                self._shares[receiver.name] = Share(rate, old.full_at if old else 0)

    def allows(self, receiver: str, now: int) -> Decision:
        """Whether the receiver may get a message now."""
        share = self._shares.get(receiver)
        if share is None or share.next_at() <= now or share.full_at > now + share.settings.per:
            return allow("its receiver has not had its share of messages")
        rate = share.settings
        return refuse(
            f"{receiver} has had its {rate.messages} messages in {format_duration(rate.per)}: "
            "this waits for its turn"
        )

    def spend(self, receiver: str, now: int) -> None:
        """A message to the receiver was decided."""
        share = self._shares.get(receiver)
        if share is not None:
            share.spend(now)

    def wait(self, group: Group, tier: Tier, now: int) -> None:
        """Put the group off until its receiver may get a message, the most urgent first."""
        if group.put_off:
            return
        group.put_off = True
        self.put_off_count += 1
        self._count += 1
        waiting = self._waiting.setdefault(group.route.receiver, [])
        heapq.heappush(waiting, (tier, now, self._count, group))

    def ready(self, now: int) -> Iterator[Group]:
        """The groups whose turn it is; each must spend, or it was not worth a message after all."""
        for receiver, waiting in self._waiting.items():
            while waiting and self.allows(receiver, now):
                group = heapq.heappop(waiting)[-1]
                if group.put_off and group.members:
                    group.put_off = False
                    yield group

    def forget_waiting(self) -> None:
        """There are other groups: they ask anew."""
        self._waiting = {}

    def waiting(self) -> dict[str, int]:
        """How many groups wait, by receiver."""
        return {
            receiver: sum(group.put_off for *_, group in self._waiting.get(receiver, ()))
            for receiver in self._shares
        }

    @property
    def next_at(self) -> int | None:
        """When (ms) the first group's turn comes."""
        moments = [self._shares[receiver].next_at() for receiver, waiting in self._waiting.items() if waiting]
        return round(min(moments) + 0.5) if moments else None


def rate_of(receiver: ReceiverSettings, settings: AlertmanagerSettings) -> RateSettings | None:
    """How much a receiver gets; None is without limit."""
    own = settings.fleetowl
    if receiver.name in own.rates:
        return own.rates[receiver.name]
    kinds = {kind for kind, _, _ in receiver.integrations()}
    return None if settings.plain or kinds <= MACHINES else own.rate
