"""Forwarding to another Alertmanager: alerts as Prometheus would send them, POST /api/v2/alerts.

A forwarded alert stays alive because it is repeated before its end. What repeats it is the notification:
at the latest after the route's repeat_interval, at the next flush of the group. So a firing alert's
`endsAt` is the moment of sending plus four times that, by Prometheus' rule for what it resends: two or
three repetitions may be lost before the other side believes that it is over. No state is needed for
this, so it outlives a restart. Whoever wants the other side to notice soon that Fleetowl is gone routes to
it with a short repeat_interval (1m). What a silence or an inhibition holds back here is not repeated and
ends there by its `endsAt`; what ended here is sent with its true end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet
from alertmanager.receivers.payload import fitted_alert
from alertmanager.receivers.posting import Poster
from alertmanager.route import Route
from alertmanager.settings.integrations.own import AlertmanagerConfig
from model.alert import Alert
from model.moment import MINUTE, SECOND, format_moment

REPETITIONS = 4
"""A firing alert ends after so many intervals without a repetition; source: Prometheus, rules/manager.go."""

BATCH = 512 * 1024
"""Bytes of one request where no cap is set."""


class Forward:
    """One Alertmanager. `interval` (ms) is how long it may take until a notification is repeated."""

    def __init__(self, config: AlertmanagerConfig, outlet: Outlet, interval: int) -> None:
        self._config = config
        self._interval = max(interval, MINUTE)
        self._cap = outlet.cap or BATCH
        self._poster = Poster(config.http_config, config.timeout, outlet.session)

    async def send(self, notification: Notification) -> Outcome:
        """POST all its alerts, in several requests where one would be too large."""
        url = f"{self._config.url.get_secret_value().rstrip('/')}/api/v2/alerts"
        outcome = Outcome(True, False, "nothing to forward")
        for body in self._bodies(notification, round(time.time() * SECOND)):
            outcome = await self._poster.post(url, body)
            if not outcome.ok:
                return outcome  # the whole notification is repeated; alerts sent twice are merged there
        return outcome

    def _bodies(self, notification: Notification, now: int) -> Iterator[bytes]:
        batch, size = list[bytes](), 2
        for alert in notification.alerts:
            one = fitted_alert(self._alert(alert, notification.at, now), self._cap - 2)
            if batch and size + len(one) + 1 > self._cap:
                yield b"[" + b",".join(batch) + b"]"
                batch, size = [], 2
            batch.append(one)
            size += len(one) + 1
        if batch:
            yield b"[" + b",".join(batch) + b"]"

    def _alert(self, alert: Alert, at: int, now: int) -> dict[str, Any]:
        ended = alert.ends_at is not None and alert.resolved_at(at)
        ends_at = alert.ends_at if ended and alert.ends_at is not None else now + REPETITIONS * self._interval
        return {
            "labels": dict(alert.labels.pairs),
            "annotations": dict(alert.annotations),
            "startsAt": format_moment(alert.starts_at),
            "endsAt": format_moment(ends_at),
            "generatorURL": alert.generator_url,
        }


def interval_of(root: Route, receiver: str) -> int:
    """The longest time (ms) in which a route repeats a notification to this receiver."""
    intervals = (
        route.repeat_interval + route.group_interval for route in root.walk() if route.receiver == receiver
    )
    return max(intervals, default=0)
