"""A page that shows the same series again: only the lines whose bytes changed are read.

A histogram's buckets mostly stand still from one scrape to the next, and an idle engine's whole page does. So
the lines are compared with those of the body before, all at once and without a dictionary; measured on pages
of vLLM this halves the time of a busy page and quarters that of an idle one. The price is a copy of the last
body, so the decoder does it only where it is told to (`TextDecoder(repeats=True)`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import ne

_NONE = b"\n"
"""Begins no line."""


class Repeat:
    """What each line of the last body meant.

    `prefixes` is what stands before the number, None for a comment; `rows` is where the line's sample is
    among all samples. `ids` and `values` are all samples.
    """

    __slots__ = ("_cuts", "_lines", "_prefixes", "_rows", "_values", "ids")

    def __init__(
        self,
        lines: list[bytes],
        prefixes: list[bytes | None],
        rows: list[int],
        ids: list[int],
        values: list[float],
    ) -> None:
        self.ids = ids
        self._lines = lines
        self._prefixes = [_NONE if prefix is None else prefix for prefix in prefixes]
        self._cuts = list(map(len, self._prefixes))
        self._rows = rows
        self._values = values

    def changed(self, lines: list[bytes]) -> tuple[list[int], list[bytes]] | None:
        """The rows with something new after the prefix, mostly a number; None if more than that changed."""
        if len(lines) != len(self._lines):
            return None
        differs = list(map(ne, lines, self._lines))
        new = list(compress(lines, differs))
        if not all(map(bytes.startswith, new, compress(self._prefixes, differs))):
            return None
        numbers = [line[cut:] for line, cut in zip(new, compress(self._cuts, differs), strict=True)]
        return list(compress(self._rows, differs)), numbers

    def renew(self, lines: list[bytes], rows: Sequence[int], values: Sequence[float]) -> list[float]:
        """All values, these rows having new ones; `lines` is the body to compare with from now on."""
        self._lines = lines
        own = self._values
        for row, value in zip(rows, values, strict=True):
            own[row] = value
        return own.copy()
