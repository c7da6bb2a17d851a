"""A feature: one number of an entity, from the newest values of one or several of its series."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from telemetry.bits import Floats

Take = Literal["mean", "sum", "max", "min"]


@dataclass(frozen=True, slots=True)
class Part:
    """The series of one metric that an entity has, as one number. Counters are rates per second.

    Only series whose labels match `where` (label, regular expression; `!label` for those that do not match).
    `shared` series have no label that tells of which entity of their target they are: all of them have it.
    """

    metric: str
    take: Take = "mean"
    where: tuple[tuple[str, str], ...] = ()
    shared: bool = False

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of the metric is one of these."""
        for name, pattern in self.where:
            wanted = not name.startswith("!")
            if (re.fullmatch(pattern, labels.get(name.lstrip("!"), "")) is not None) != wanted:
                return False
        return True

    def __str__(self) -> str:
        inner = ", ".join(
            f'{name.lstrip("!")}{"!~" if name.startswith("!") else "=~"}"{pattern}"'
            for name, pattern in self.where
        )
        text = f"{self.metric}{{{inner}}}" if inner else self.metric
        return text if self.take == "mean" else f"{self.take} of {text}"


@dataclass(frozen=True, slots=True)
class Feature:
    """The sum of `above`, divided by the sum of `below` if there is one; with `rest` one minus that.

    `name` is what people read, and the label `metric` of a contribution; `why` says what faults move it.
    Missing where all of `above` or all of `below` are missing, or where the divisor is 0: nothing was served,
    so nothing is known of how fast.
    """

    name: str
    why: str
    above: tuple[Part, ...]
    below: tuple[Part, ...] = ()
    rest: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that it is made of."""
        return (*self.above, *self.below)

    def value(self, of: Mapping[Part, Floats]) -> Floats | None:
        """Of many entities at once, from such of its parts as there are, `[n]` each; None if none is.

        >>> busy = Feature("busy", "", (Part("idle"),), rest=True)
        >>> busy.value({Part("idle"): np.array([0.25, np.nan])})
        array([0.75,  nan])
        """
        value = _sum([of[part] for part in self.above if part in of])
        if value is None:
            return None
        if self.below:
            divisor = _sum([of[part] for part in self.below if part in of])
            if divisor is None:
                return None
            value = np.divide(value, divisor, out=np.full_like(value, np.nan), where=divisor > 0)
        return 1.0 - value if self.rest else value

    def __str__(self) -> str:
        text = _added(self.above)
        if self.below:
            text = f"{_added(self.above, inner=True)} / {_added(self.below, inner=True)}"
        return f"1 - {text}" if self.rest else text


def plain(metric: str, why: str, take: Take = "mean", *, shared: bool = False) -> Feature:
    """The metric as it is, a counter as its rate."""
    return Feature(metric, why, (Part(metric, take, shared=shared),))


def mean_of(family: str, why: str) -> Feature:
    """The mean of what a histogram or summary observed since its last sample."""
    return Feature(family, why, (Part(f"{family}_sum", "sum"),), (Part(f"{family}_count", "sum"),))


def _added(parts: Sequence[Part], *, inner: bool = False) -> str:
    text = " + ".join(map(str, parts))
    return f"({text})" if inner and len(parts) > 1 else text


def _sum(columns: Sequence[Floats]) -> Floats | None:
    """A missing summand counts as 0 unless all are missing."""
    if len(columns) < 2:
        return columns[0] if columns else None
    stacked = np.stack(columns)
    missing = np.isnan(stacked)
    return np.where(missing.all(axis=0), np.nan, np.where(missing, 0.0, stacked).sum(axis=0))


def parts_of(features: Sequence[Feature]) -> tuple[Part, ...]:
    """Each part once, in the order of the features."""
    return tuple(dict.fromkeys(_all(features)))


def _all(features: Sequence[Feature]) -> Iterator[Part]:
    for feature in features:
        yield from feature.parts
