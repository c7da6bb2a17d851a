"""Tables that fit a terminal: columns go, the least needed first, before text is cut; colour if wanted."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from fleetowl.visible import visible

RED, YELLOW, GREEN, BOLD, DIM = "31", "33", "32", "1", "2"
"""Codes of ECMA-48's SGR."""

_GAP = "  "
_LEAST_FLEXIBLE = 16


@dataclass(frozen=True, slots=True)
class Column:
    """`need` 0 always stays; of the others the highest goes first. A flexible one may be cut before that."""

    head: str
    cells: Sequence[str]
    need: int = 0
    right: bool = False
    flexible: bool = False
    colours: Mapping[int, str] | None = None
    """By row."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", [visible(cell) for cell in self.cells])

    @property
    def width(self) -> int:
        """Of its widest cell."""
        return max(len(self.head), *(len(cell) for cell in self.cells)) if self.cells else len(self.head)

    @property
    def empty(self) -> bool:
        """Whether no cell says anything."""
        return not any(cell.strip("- ") for cell in self.cells)


def paint(text: str, colour: str) -> str:
    """The text in this colour; as it is without one."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and text else text


def wants_colour(stream: TextIO | None = None) -> bool:
    """Only on a terminal that can, and not where NO_COLOR is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return (stream or sys.stdout).isatty()


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal; None where the output goes elsewhere: then nothing is cut."""
    if not (stream or sys.stdout).isatty():
        return None
    return shutil.get_terminal_size().columns


def cut(text: str, width: int) -> str:
    """At most so many characters.

    >>> cut("serving/llama", 8), cut("short", 8)
    ('serving…', 'short')
    """
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def render(columns: Sequence[Column], width: int | None = None, colour: bool = False) -> list[str]:
    """The lines of a table with its head. Columns in which nothing stands are left out."""
    shown = [column for column in columns if column.need == 0 or not column.empty]
    shown, widths = _fit(shown, width)
    lines = [_line([column.head for column in shown], shown, widths, None, colour)]
    for row in range(len(shown[0].cells)):
        lines.append(_line([column.cells[row] for column in shown], shown, widths, row, colour))
    return lines


def paragraph(subject: str, text: str, indent: int, width: int | None, colour: str = "") -> list[str]:
    """`subject  text`, the text wrapped under itself; `indent` is the width of the widest subject."""
    subject, text = visible(subject), visible(text)
    if width is None:
        return [f"  {paint(subject.ljust(indent), colour)}  {text}"]
    if indent + 4 > width // 2:  # no room beside it: below
        body = textwrap.wrap(text, max(1, width - 4), break_on_hyphens=False)
        return [f"  {paint(cut(subject, width - 2), colour)}", *(f"    {line}" for line in body)]
    first, *rest = textwrap.wrap(text, width - indent - 4, break_on_hyphens=False) or [""]
    start = f"  {paint(subject.ljust(indent), colour)}  {first}"
    return [start, *(" " * (indent + 4) + line for line in rest)]


def _fit(columns: list[Column], width: int | None) -> tuple[list[Column], list[int]]:
    while True:
        widths = [column.width for column in columns]
        over = sum(widths) + len(_GAP) * (len(widths) - 1) - width if width is not None else 0
        for place in sorted(range(len(columns)), key=lambda place: -columns[place].need):
            if over > 0 and columns[place].flexible:
                spare = max(0, widths[place] - max(_LEAST_FLEXIBLE, len(columns[place].head)))
                widths[place] -= min(spare, over)
                over -= min(spare, over)
        droppable = max((column.need for column in columns), default=0)
        if over <= 0 or droppable == 0:
            return columns, widths
        last = max(place for place, column in enumerate(columns) if column.need == droppable)
        columns = [*columns[:last], *columns[last + 1 :]]


def _line(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], row: int | None, colour: bool
) -> str:
    parts = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        text = cut(cell, width)
        padded = text.rjust(width) if column.right else text.ljust(width)
        code = DIM if row is None else (column.colours or {}).get(row, "")
        if column is columns[-1]:
            padded = padded.rstrip()
        parts.append(paint(padded, code) if colour and text else padded)
    return _GAP.join(parts).rstrip()
