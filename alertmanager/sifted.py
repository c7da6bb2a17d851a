"""What a group has to say once the stages have held back what they hold back."""

from __future__ import annotations

from dataclasses import dataclass

from alertmanager.stages import Held
from alertmanager.tables import EpisodeKey

Version = tuple[int, int]
"""Of the group and of the stages: while both stand, so does the answer."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """What goes on (`going`) in the order in which it began, and what stays back (`held`).

    `firing` and `ended` are fingerprints of what goes on; `incidents` are of what fires.
    """

    version: Version
    going: tuple[EpisodeKey, ...]
    firing: frozenset[int]
    ended: frozenset[int]
    incidents: frozenset[str] = frozenset()
    held: tuple[Held, ...] = ()
