"""A decision and the sentence that says why: the same words go to the log, the API and the timeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided (True: go on) and why, as one sentence that a person can read at 3 a.m."""

    go: bool
    why: str

    def __bool__(self) -> bool:
        return self.go

    def __str__(self) -> str:
        return self.why


def allow(why: str) -> Decision:
    """A decision to go on."""
    return Decision(True, why)


def refuse(why: str) -> Decision:
    """A decision to hold."""
    return Decision(False, why)
