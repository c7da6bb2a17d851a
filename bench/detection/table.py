"""Plain tables for people and figures by name for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

Figures = dict[str, float | int | None]
Cell = str | float | int | None


def key(*words: str) -> str:
    """One figure's name: lower case, what is no letter or digit an underscore.

    >>> key("nab", "realAWSCloudwatch", "river Half-space", "standard")
    'nab_realawscloudwatch_river_half_space_standard'
    """
    plain = "".join(letter if letter.isalnum() else " " for letter in " ".join(words).lower())
    return "_".join(plain.split())


def number(value: float) -> float | None:
    """A figure as JSON can hold it: NaN and infinity are null.

    >>> number(0.123456), number(math.nan)
    (0.1235, None)
    """
    return round(value, 4) if math.isfinite(value) else None


def spread(values: Iterable[float]) -> str:
    """The mean and, of more than one, how far the values lie apart.

    >>> spread([1.0]), spread([1.0, 2.0]), spread([])
    ('1.00', '1.50 (1.00-2.00)', '-')
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    mean = f"{fmean(known):.2f}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.2f}-{max(known):.2f})"


def mean(values: Iterable[float]) -> float:
    """The mean of what is known; NaN where nothing is.

    >>> mean([1.0, math.nan, 2.0])
    1.5
    """
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print the rows under their title, the first column to the left and the others to the right."""
    cells = [list(header), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    print(f"\n{title}")
    for row in cells:
        first, *others = row
        print(
            f"  {first:{widths[0]}}"
            + "".join(f"  {cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        )


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    return f"{cell:.3g}" if isinstance(cell, float) and abs(cell) < 1 else _plain(cell)


def _plain(cell: str | float | int) -> str:
    return f"{cell:,.2f}" if isinstance(cell, float) else str(cell)
