"""How the state of a room reaches the disk and comes back.

The analyzer asks every room once a tick; a store that refuses costs nothing but a sentence:
a room forgets what it has to write only in `saved()`, so the next tick tries the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sqlalchemy import Connection

from model.decision import Decision, allow, refuse
from store.database import Database
from store.errors import StoreUnavailable


@runtime_checkable
class Durable(Protocol):
    """A room whose state outlives the process."""

    @property
    def dirty(self) -> bool:
        """Whether something changed since the last committed save."""

    def load(self, tx: Connection, now: int) -> None:
        """Take over what was saved; called once, before the first step."""

    def save(self, tx: Connection) -> None:
        """Write what changed since the last `saved()`; must be repeatable, the commit may fail."""

    def saved(self) -> None:
        """The commit succeeded: what `save` wrote is no longer dirty."""


def persist(database: Database, rooms: Sequence[Durable]) -> Decision:
    """Commit what changed in these rooms, all in one transaction. Never raises for the store's sake.

    Says nothing to the log, since it is called each tick: a refusal is the caller's to say, once.
    """
    changed = [room for room in rooms if room.dirty]
    if not changed:
        return allow("no state changed")
    try:
        with database.transaction() as tx:
            for room in changed:
                room.save(tx)
    # The supervisor's boundary: one room's value that no database takes must be said like a full disk.
    except Exception as error:
        what = str(error) if isinstance(error, StoreUnavailable) else f"{type(error).__name__}: {error}"
        return refuse(f"state is not on disk: {what}; nothing is forgotten, the next tick tries again")
    for room in changed:
        room.saved()
    return allow(f"committed the state of {len(changed)} room{'s' if len(changed) > 1 else ''}")


def restore(database: Database, rooms: Sequence[Durable], now: int) -> None:
    """Load every room. Raises StoreUnavailable: starting without its memory is the caller's decision."""
    with database.reading() as tx:
        for room in rooms:
            room.load(tx, now)
