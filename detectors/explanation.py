"""What a detector knows of one subject, for people: its scores, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contributor:
    """A feature beside what is usual for this subject; `deviations` are robust ones, signed.

    `share` is its part in the whole deviation, 0 to 1; `why` says what faults move it.
    """

    feature: str
    why: str
    share: float
    value: float
    usual: float
    deviations: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """As of `at` (ms). `kind` is what the subject is: gpu, engine or node.

    `scores` are by detector (> 1 is anomalous), `models` by model how far in its tail (> 0) it sees the
    subject; NaN where there is none yet. The largest contributors come first.
    """

    kind: str
    at: int
    scores: Mapping[str, float]
    models: Mapping[str, float]
    contributors: Sequence[Contributor]
