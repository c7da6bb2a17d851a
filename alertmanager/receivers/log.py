"""A line in Fleetowl's own log: the receiver of a configuration that names none."""

from __future__ import annotations

import logging

from alertmanager.notification import Notification, Outcome
from alertmanager.text import line

log = logging.getLogger("fleetowl.notification")


class Log:
    """Logs the notification, a firing one as a warning."""

    async def send(self, notification: Notification) -> Outcome:
        """Log it."""
        level = logging.WARNING if notification.status == "firing" else logging.INFO
        log.log(level, "%s", line(notification))
        return Outcome(True, False, "logged")
