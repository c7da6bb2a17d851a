"""Episodes: half an hour of a group in which at most one member falls ill, after a history of six hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.detection.injection.background import HISTORY, Group, group
from bench.detection.injection.faults import KINDS, faulty
from bench.detection.labelled.machines import Machine
from telemetry.bits import Floats

ROWS = 360
"""Of an episode: half an hour."""
LASTS = 120
"""Rows that a fault lasts: the last ten minutes at most."""
PER_GROUP = 6
HEALTHY = 0.25
"""The share of episodes without a fault; at least a fifth must be."""
NONE = "none"


@dataclass(frozen=True)
class Episode:
    """The rows `[begin, begin + len(values))` of its group with a fault of `member` from row `onset` of them.

    `values` `[ROWS, members, d]`; `kind` is NONE where there is no fault.
    """

    begin: int
    kind: str
    member: int
    onset: int
    values: Floats


def episodes(of: Group, kinds: Sequence[str], chance: np.random.Generator) -> Iterator[Episode]:
    """One episode of each kind, one after the other in the rows behind the group's history."""
    for place, kind in enumerate(kinds):
        begin = of.history + place * ROWS
        values = of.values[begin : begin + ROWS].copy()
        member = int(chance.integers(values.shape[1]))
        onset = int(chance.integers(ROWS // 6, ROWS - LASTS))
        if kind != NONE:
            ill = values[onset - 1 : onset + LASTS, member]
            values[onset - 1 : onset + LASTS, member] = faulty(ill, kind, of.noise[member], chance)
            values = values[: onset + LASTS]
        yield Episode(begin, kind, member, onset, values)


def plan(groups: int, chance: np.random.Generator) -> list[list[str]]:
    """The kinds of the episodes of each group: a quarter without a fault, the others in equal parts."""
    count = groups * PER_GROUP
    healthy = int(np.ceil(HEALTHY * count))
    kinds = [NONE] * healthy + [KINDS[place % len(KINDS)] for place in range(count - healthy)]
    mixed = [kinds[place] for place in chance.permutation(count)]
    return [mixed[at : at + PER_GROUP] for at in range(0, count, PER_GROUP)]


def drawn(
    backgrounds: Mapping[str, Sequence[Machine]], groups: int, seed: int
) -> list[tuple[Group, list[Episode]]]:
    """All groups of one seed with their episodes, from each data set in turn.

    Fewer than asked, or none, where no machine's rows are fit for it.
    """
    chance = np.random.default_rng(seed)
    names = sorted(backgrounds)
    found = []
    for place, kinds in enumerate(plan(groups, chance)):
        name = names[place % len(names)]
        one = group(name, backgrounds[name], HISTORY + PER_GROUP * ROWS, chance)
        if one is not None:
            found.append((one, list(episodes(one, kinds, chance))))
    return found
