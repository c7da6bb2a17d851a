"""Silences: matchers and a span of time in which the alerts that match stay back.

`book.Silences` holds them: their life cycle, their table, and the stage `silence`.
"""

from __future__ import annotations

from alertmanager.silences.book import Change, Limits, Silences
from alertmanager.silences.silence import Draft, RefusedSilence, Silence, State, UnknownSilence

__all__ = [
    "Change",
    "Draft",
    "Limits",
    "RefusedSilence",
    "Silence",
    "Silences",
    "State",
    "UnknownSilence",
]
