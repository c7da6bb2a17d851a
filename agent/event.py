"""What cannot wait for the next beat: an XID, a lost GPU, a call that hangs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model.labels import Labels


@dataclass(frozen=True, slots=True)
class Ahead:
    """A sample of a series that goes ahead of its frame. `labels` as pushed, metric name included."""

    labels: Labels
    value: float
    at: int


@dataclass(frozen=True, slots=True)
class Event:
    """Pushed at once. `type` is a word: `xid`, `sxid`, `gpu_lost`, `gpu_back`, `probe_hung`.

    `labels` name the entity (`node`, `gpu`, `uuid`, `xid`); `at` is ms since the epoch; `text` is for
    people. `ahead` are the samples that make the rules see it: the analyzer stores them before their frame
    comes.
    """

    type: str
    labels: Mapping[str, str]
    value: float
    at: int
    text: str
    ahead: tuple[Ahead, ...] = ()


Emit = Callable[[Event], None]
"""Sends an event on its way; returns at once."""
