"""Carries notifications to their receivers beside the tick, and brings the answers back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.sender import Sender

log = logging.getLogger("fleetowl.analyzer")


class Delivery:
    """Sends each notification in a task of its own, so that a slow receiver holds up no other.

    `answered` is called in the event loop with each receiver's answer; it sees to it that it is on disk.
    """

    def __init__(self, sender: Sender, answered: Callable[[Notification, Outcome], None]) -> None:
        self._sender = sender
        self._answered = answered
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[tuple[object, str]] = set()

    def submit(self, notifications: Sequence[Notification]) -> None:
        """Start sending. What is still under way is left alone: a receiver may take its time."""
        for notification in notifications:
            key = (notification.delivery, notification.dedup_key)
            if key in self._under_way:
                continue
            self._under_way.add(key)
            task = asyncio.create_task(self._deliver(notification))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, notification: Notification) -> None:
        sender = self._sender
        try:
            outcome = await sender.send(notification)
        except Exception as error:  # a receiver's bug is a failed attempt, which the dispatcher repeats
            log.exception("the receiver %s failed", notification.receiver)
            outcome = Outcome(ok=False, retry=True, answer=f"{type(error).__name__}: {error}")
        finally:
            self._under_way.discard((notification.delivery, notification.dedup_key))
        self._answered(notification, outcome)

    async def replace(self, sender: Sender) -> None:
        """Send through other receivers from now on, once the answers under way are in."""
        previous, self._sender = self._sender, sender
        if self._tasks:
            await asyncio.wait(self._tasks)
        await previous.close()

    async def drain(self, seconds: float) -> None:
        """Wait for the answers that are still out, at most this long; then give up on them.

        What is given up has no record, so it is sent again after the next start with the same key.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()
