"""One thing that somebody said of one anomaly series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from model.labels import Labels
from model.moment import format_moment

NOISE, REAL = "noise", "real"
VERDICTS = (NOISE, REAL)
LOWEST = 1 / 16
"""The weight never falls below: a series that was called noise for ever can still be asked for."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`labels` are those of the score without its name: a mark outlives ids, restarts and renumbering."""

    id: int
    labels: Labels
    verdict: str
    who: str
    at: int  # ms
    why: str = ""
    undone_at: int | None = None
    undone_by: str = ""
    batch: int = 0  # id of the first mark that was made along with it

    @property
    def counts(self) -> bool:
        """Whether it was not undone."""
        return self.undone_at is None

    def shown(self) -> dict[str, Any]:
        """As the API tells it."""
        undone = (
            {}
            if self.undone_at is None
            else {"undone_at": format_moment(self.undone_at), "undone_by": self.undone_by}
        )
        return {
            "id": self.id,
            "batch": self.batch,
            "verdict": self.verdict,
            "labels": dict(self.labels),
            "who": self.who,
            "at": format_moment(self.at),
            "why": self.why,
            **undone,
        }


def weight_of(marks: Iterable[Mark]) -> float:
    """The weight of a series from its marks, in their order: noise halves it, real doubles it, at most to 1.

    >>> def said(*verdicts):
    ...     return [Mark(number, Labels(), verdict, "ada", 0) for number, verdict in enumerate(verdicts)]
    >>> weight_of([]), weight_of(said("noise")), weight_of(said("noise", "noise", "real"))
    (1.0, 0.5, 0.5)
    >>> weight_of(said(*["noise"] * 9)), weight_of(said("real", "noise"))
    (0.0625, 0.5)
    """
    weight = 1.0
    for mark in marks:
        if mark.counts:
            weight = max(weight / 2, LOWEST) if mark.verdict == NOISE else min(weight * 2, 1.0)
    return weight
