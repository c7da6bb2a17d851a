"""Whether a state from a snapshot can be one: a damaged one would give results that are no numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from telemetry.bits import Flags

_MOST = 1e32  # values are cut at 1e30
_NEVER_NEGATIVE = ("scale", "far_scale", "plain_error", "season_error", "quantum")
_COUNTS = ("count", "peak", "fall", "run", "longest")
_HOURS = 168
_SHAPES = (0.01, 0.5)
_WIDE = 1e9  # statistics are cut at 1e6


def check(states: NDArray[np.uint32]) -> None:
    """Of states `[n, fields]`, as Blocks.of gives them. Raises ValueError where one is damaged."""
    if len(states):
        odd = int((~sound(states)).sum())
        if odd:
            raise ValueError(f"the state of {odd} of {len(states)} series is damaged")


def sound(states: NDArray[np.uint32]) -> Flags:
    """Which states `[n, fields]` are within what the recipe can come to, `[n]`."""
    from detectors.streaming.vector import HOT

    at = {name: place for place, name in enumerate(HOT)}
    numbers = np.ascontiguousarray(states).view(np.float32)
    forms = [at[name] for name in HOT if name.endswith("_form")]
    plain = [place for place in range(len(HOT)) if place not in forms]
    with np.errstate(invalid="ignore"):
        good: Flags = np.all(np.abs(numbers[:, plain]) <= _MOST, axis=1)
        for name in (*_NEVER_NEGATIVE, *_COUNTS):
            good &= numbers[:, at[name]] >= 0
        hour = numbers[:, at["hour"]]
        good &= (hour >= 0) & (hour < _HOURS) & (hour == np.floor(hour)) & (numbers[:, at["rise"]] >= -1)
        for name in HOT:
            column = numbers[:, at[name]]
            if name.endswith("_edge"):
                good &= (column > 0) & (column < _WIDE)
            elif name.endswith("_rare"):
                good &= (column >= 0) & (column < 20)
            elif name.endswith("_top"):
                good &= (column >= 0) & (column < _WIDE)
        width, shape = _halves(states[:, forms])
        good &= ((width > 0) & (width < _WIDE) & (shape > _SHAPES[0]) & (shape < _SHAPES[1])).all(axis=1)
        moments = slice(len(HOT) + 1, len(HOT) + 1 + 2 * len(forms))
        excess = numbers[:, moments][:, ::2]
        good &= ((excess > 0) & (excess < _WIDE)).all(axis=1)
        for record in _halves(states[:, moments][:, 1::2]):
            good &= ((record >= 0) & (record < _WIDE)).all(axis=1)
        for slots in _halves(states[:, moments.stop :]):
            good &= (np.abs(slots) <= _MOST).all(axis=1)
    return good


def _halves(words: NDArray[np.uint32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    words = np.ascontiguousarray(words)
    upper, lower = words & np.uint32(0xFFFF0000), words << np.uint32(16)
    return upper.view(np.float32), lower.view(np.float32)
