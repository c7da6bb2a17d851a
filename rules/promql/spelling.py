"""What promql-parser cannot read, spelt so that it can.

Its lexer knows no `1_000`, and a time before the epoch after `@` panics. The first loses its underscores;
the second is carried through as a time that nobody means, far in the future.
"""

from __future__ import annotations

import re

from rules.promql.errors import PromQLError

_STRINGS = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*)""")
_UNDERSCORED = re.compile(r"(?<![\w.:])(?:0[xX]_?[0-9a-fA-F]|\d|\.\d)(?:_?[0-9a-fA-FxX.])*(?![\w:])")
_AT = re.compile(r"@\s*([-+]?)\s*([\d.]+(?:[eE][-+]?\d+)?)(?![\w.])")
_BEFORE_EPOCH = 100_000_000_000.0
"""Seconds; times after `@` are mirrored at half of this (the year 3554)."""


def spelt(text: str) -> str:
    """The same expression for the parser. Raises PromQLError for a time that it could not carry."""
    parts = _STRINGS.split(text)
    parts[::2] = [_outside(part) for part in parts[::2]]
    return "".join(parts)


def _outside(text: str) -> str:
    text = _UNDERSCORED.sub(lambda found: found[0].replace("_", ""), text)
    return _AT.sub(_at, text)


def _at(found: re.Match[str]) -> str:
    seconds = float(found[2])
    if seconds >= _BEFORE_EPOCH / 2:
        raise PromQLError(f"the time of @ is out of range: {found[0]}")
    return f"@ {_BEFORE_EPOCH - seconds:.3f}" if found[1] == "-" and seconds else found[0]


def at_of(milliseconds: float) -> int:
    """The time (ms) that `@` means in the spelt text."""
    if milliseconds < _BEFORE_EPOCH * 500:
        return round(milliseconds)
    return round(milliseconds - _BEFORE_EPOCH * 1000)
