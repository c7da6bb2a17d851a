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

    def new(self, key: Hashable, origin: Origin, now: float, times: int = 1) -> int:
        """Of how many of these nobody has told. Two from one source are two, but for plain words."""
        runs = self._recent(key, now)
        left = 1 if origin == "words" else times
        for run in list(runs):
            if origin == "words" and origin in run.told_by:
                return 0
            if origin not in run.told_by:
                paired = min(left, run.number)
                left, run.number = left - paired, run.number - paired
                self._add(runs, run.at, run.told_by | {origin}, paired)
            if not left:
                break
        self._add(runs, now, frozenset((origin,)), left)
        self._runs[key] = [run for run in runs if run.number]
        return left

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
    def _add(runs: list[_Run], at: float, told_by: frozenset[Origin], number: int) -> None:
        for run in runs:
            if run.told_by == told_by and abs(at - run.at) < _RUN:
                run.number += number
                return
        runs.append(_Run(at, told_by, number))
