"""What every way to notify has in common."""

from __future__ import annotations

from typing import Protocol

from alertmanager.notification import Notification, Outcome


class Integration(Protocol):
    """One way to notify. It answers within its own timeout and raises nothing."""

    async def send(self, notification: Notification) -> Outcome:
        """Tell the receiver."""
