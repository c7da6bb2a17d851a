"""The way to one integration: only so many sends at a time. One that hangs holds up no other."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.integration import Integration
from model.alert import Tier
from model.moment import MINUTE, SECOND, format_duration

WIDTH = 8
"""So many sends to one integration are under way at a time."""

PATIENCE = 2 * MINUTE
"""How long (ms) a notification waits for its turn. It then goes back to the outbox, which tries it again:
with a time-out of the integration this stays below the time after which the outbox takes it for lost."""

_Turn = asyncio.Future[None]


class Lane:
    """One integration; who finds it full waits, the most urgent first. A time-out begins with the turn."""

    def __init__(self, integration: Integration, width: int = WIDTH) -> None:
        self._integration = integration
        self._free = width
        self._waiting: list[tuple[Tier, int, int, _Turn]] = []
        self._count = count()

    async def send(self, notification: Notification) -> Outcome:
        """Tell the integration when it is this notification's turn."""
        try:
            await self._turn(notification)
        except TimeoutError:
            answer = f"it waited {format_duration(PATIENCE)} for earlier notifications that are not answered"
            return Outcome(False, True, answer)
        try:
            return await self._integration.send(notification)
        finally:
            self._leave()

    async def _turn(self, notification: Notification) -> None:
        """Raises TimeoutError."""
        if self._free:
            self._free -= 1
            return
        turn: _Turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (notification.tier, notification.at, next(self._count), turn))
        try:
            async with asyncio.timeout(PATIENCE / SECOND):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was given the turn in the moment in which it gave up
            turn.cancel()
            raise

    def _leave(self) -> None:
        """The turn goes to the next one."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
