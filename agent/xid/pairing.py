"""One XID told twice, by the driver's event and by the kernel's log, is one XID."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

WINDOW = 5.0
"""Seconds within which two sources speak of the same thing."""

_RUN = 0.1  # seconds within which occurrences are kept as one entry with a number: a storm stays small

Origin = Literal["driver", "kernel", "words"]
"""The driver's event, an XID in the kernel's log, the kernel's plain words (fallen off the bus)."""


@dataclass(slots=True)
class _Run:
    at: float
    told_by: frozenset[Origin]
    number: int


class Pairing:
    """Tells new occurrences from known ones. Time is monotonic: a step of the wall clock changes nothing."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._runs: dict[Hashable, list[_Run]] = {}

    def is_new(self, key: Hashable, origin: Origin, now: float) -> bool:
        """Whether nobody has told of it. Two from one source are two, but for plain words."""
        runs = self._recent(key, now)
        known = next((run for run in runs if origin == "words" or origin not in run.told_by), None)
        if known is None:
            self._add(runs, now, frozenset((origin,)))
            return True
        if origin not in known.told_by:
            known.number -= 1
            self._add(runs, known.at, known.told_by | {origin})
            self._runs[key] = [run for run in runs if run.number]
        return False

    def note(self, key: Hashable, now: float, *origins: Origin) -> None:
        """An occurrence that all these have told of."""
        self._add(self._recent(key, now), now, frozenset(origins))

    def tidy(self, now: float) -> None:
        """Forget what is too old to be told again."""
        for key in list(self._runs):
            if not self._recent(key, now):
                del self._runs[key]

    def _recent(self, key: Hashable, now: float) -> list[_Run]:
        runs = [run for run in self._runs.get(key, ()) if now - run.at <= self._window]
        self._runs[key] = runs
        return runs

    @staticmethod
    def _add(runs: list[_Run], at: float, told_by: frozenset[Origin]) -> None:
        for run in runs:
            if run.told_by == told_by and abs(at - run.at) < _RUN:
                run.number += 1
                return
        runs.append(_Run(at, told_by, 1))
