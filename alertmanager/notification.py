"""A notification, the answer of a receiver, and the key by which a receiver knows a repetition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from model.alert import Alert, Tier
from model.labels import Labels, format_fingerprint


class Delivery(NamedTuple):
    """Who is told about what: one group through one integration of one receiver."""

    group_key: str
    receiver: str
    integration: str

    def __str__(self) -> str:
        return f"{self.receiver} ({self.integration})"


@dataclass(frozen=True, slots=True)
class Brief:
    """What a message says of an incident beyond its alerts; incidents/ writes it.

    `lines` are sentences for a person (most likely cause, reach, what was held back); `url` and `ack_url`
    are links, empty where no external_url is set.
    """

    incident: str
    title: str
    lines: tuple[str, ...] = ()
    url: str = ""
    ack_url: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A notification that no group asked for: an escalation, a status update, a digest, a dead man.

    `key` names the matter and the step ("escalation:INC-20261126-0001:2"): the same key is decided once,
    also by a restarted process. `headline` leads the message; `alerts` are what it lists. `resolved` says
    that the matter is over, which an integration that wants no ends (send_resolved) is not told.
    """

    key: str
    receiver: str
    headline: str
    why: str
    alerts: tuple[Alert, ...] = ()
    tier: Tier = Tier.P3
    resolved: bool = False


PAGE = "page:"
"""How the group key of a page begins; the rest is the page's own key."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What one integration is told, frozen when it was decided (`at`, ms): a repetition is equal to it.

    `alerts` is what is sent; `firing` and `resolved` are the fingerprints that the notification log
    keeps, which also hold what the receiver does not want to hear of (send_resolved: false).
    `headline` and `urgency` are what a page says of itself; they are empty where a group is told.
    """

    delivery: Delivery
    group_labels: Labels
    alerts: tuple[Alert, ...]
    firing: frozenset[int]
    resolved: frozenset[int]
    at: int
    sequence: int
    dedup_key: str
    why: str = ""
    attempt: int = 1
    headline: str = ""
    briefs: tuple[Brief, ...] = ()
    urgency: Tier | None = None

    @property
    def is_page(self) -> bool:
        """Whether no group asked for it."""
        return self.group_key.startswith(PAGE)

    @property
    def receiver(self) -> str:
        """The receiver's name."""
        return self.delivery.receiver

    @property
    def group_key(self) -> str:
        """Alertmanager's groupKey."""
        return self.delivery.group_key

    @property
    def status(self) -> str:
        """`firing` while one of its alerts was; a page that lists none stands for itself."""
        return "firing" if self.firing or not self.alerts else "resolved"

    @property
    def tier(self) -> Tier:
        """What a page states; else the most urgent of its firing alerts, or of all where none fires."""
        if self.urgency is not None:
            return self.urgency
        firing = [alert.tier for alert in self.alerts if not alert.resolved_at(self.at)]
        return min(firing or [alert.tier for alert in self.alerts], default=Tier.P3)

    @property
    def incidents(self) -> list[str]:
        """The incidents that it is about, sorted."""
        return sorted({alert.incident for alert in self.alerts if alert.incident})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a receiver answered. `retry` is False for a refusal that will not change by itself.

    `retry_after` (ms) is what the receiver asked for; `answer` holds no secret.
    """

    ok: bool
    retry: bool
    answer: str
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A notification, when it is tried next (ms), and how often it was refused for good."""

    notification: Notification
    next_at: int
    refusals: int = 0


def dedup_key(delivery: Delivery, alerts: Sequence[Alert], at: int, sequence: int) -> str:
    """The same for the same state of the same group, also when a restarted process decides it again."""
    state = sorted(
        (format_fingerprint(alert.fingerprint), alert.starts_at, alert.resolved_at(at)) for alert in alerts
    )
    return hashlib.sha256(json.dumps([*delivery, state, sequence]).encode()).hexdigest()[:32]
