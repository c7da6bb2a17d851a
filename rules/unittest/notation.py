"""The series notation of Prometheus' tests: `up{job="a"} 1 1x3 0+10x60 _ _x5 stale`.

A series has one value per step: a number; `_` for none; `stale` for the stale marker. `ax3` is `a` and three
more of it, `a+bx3` and `a-bx3` are `a` and three steps of `b` up or down, `_x3` are three steps without a
value.

Source: prometheus/prometheus promql/parser, the rules series_description and series_item, and the lexer in
its mode for series. As there, hexadecimal is none of it (`0x3` is four zeros), nor is `NaNx3`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from model.labels import NAME, Labels
from telemetry.bits import STALE_NAN
from wire.gotext import go_unquote

MOST_VALUES = 10_000_000
"""Values of one series at most: a slip such as `1x10000000000` is an error, not a full memory."""

_DIGITS = r"\d+(?:_\d+)*"
_UNSIGNED = rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?{_DIGITS})?"
_WORD = r"(?i:inf|nan)"
_ITEM = re.compile(
    rf"(?P<blank>_)(?:x(?P<blanks>\d+))?"
    rf"|(?P<start>[-+]?{_UNSIGNED})(?P<by>[-+]{_UNSIGNED})?x(?P<times>\d+)"
    rf"|(?P<one>[-+]?(?:{_UNSIGNED}|{_WORD}))"
    rf"|(?P<stale>stale)"
)
_OCTAL = re.compile(r"0[0-7_]+")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_CLOSED = re.compile(r"\s*\}")
_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`'
_PAIR = re.compile(rf"\s*(?:(?P<name>[a-zA-Z_]\w*)|(?P<quoted>{_STRING}))\s*(?:=\s*(?P<value>{_STRING}))?\s*")


class NotationError(ValueError):
    """The text is no series, or uses what is not supported; the message says what and where."""


def parse_series(text: str) -> tuple[Labels, list[float | None]]:
    """The labels and the values, None where there is none, of `name{label="x"} values`.

    Raises NotationError.

    >>> parse_series('up{job="a"} 1 _ 3+2x2')
    (up{job="a"}, [1.0, None, 3.0, 5.0, 7.0])
    """
    labels, rest = split_metric(text)
    if rest and not rest[0].isspace():
        raise NotationError(f"a space is needed before {_shown(rest)}")
    return labels, parse_values(rest)


def parse_metric(text: str) -> Labels:
    """The labels of `name{label="x"}` and nothing after it; no text means no labels. Raises NotationError."""
    labels, rest = split_metric(text)
    if rest.strip():
        raise NotationError(f"unexpected {_shown(rest)} after the labels")
    return labels


def split_metric(text: str) -> tuple[Labels, str]:
    """The labels at the head of `text`, and what follows them. Raises NotationError.

    >>> split_metric('{"http.requests", code="200"} 5')
    (http.requests{code="200"}, ' 5')
    """
    text = text.strip()
    name = _NAME.match(text)
    pairs = [(NAME, name[0])] if name else []
    position = name.end() if name else 0
    if text[position : position + 1] == "{":
        position = _read_pairs(text, position + 1, pairs)
    elif text[position:].lstrip().startswith("{") and not text[position:].lstrip().startswith("{{"):
        raise NotationError(f"no space may stand between the name and the brace in {_shown(text)}")
    names = [key for key, _ in pairs]
    for key in names:
        if names.count(key) > 1:
            what = "the metric name" if key == NAME else f"the label {key!r}"
            raise NotationError(f"{what} stands twice in {_shown(text)}")
    return Labels(pairs), text[position:]


def _read_pairs(text: str, position: int, pairs: list[tuple[str, str]]) -> int:
    """Read label pairs up to the closing brace; answers with the place behind it."""
    while True:
        closed = _CLOSED.match(text, position)
        if closed:
            return closed.end()
        found = _PAIR.match(text, position)
        if found is None or (found["name"] and found["value"] is None):
            raise NotationError(f'label="value" is needed at {_shown(text[position:] or text)}')
        key = found["name"] if found["name"] else _unquoted(found["quoted"])
        pairs.append((NAME, key) if found["value"] is None else (key, _unquoted(found["value"])))
        position = found.end()
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "}":
            raise NotationError(f"a comma or a closing brace is needed at {_shown(text[position:] or text)}")


def parse_values(text: str) -> list[float | None]:
    """One value per step, None where there is none. Raises NotationError.

    >>> parse_values("1e-3x1 -1-1x2 _x2 NaN 0x1")
    [0.001, 0.001, -1.0, -2.0, -3.0, None, None, nan, 0.0, 0.0]
    """
    if "{{" in text:
        raise NotationError("native histograms ({{...}}) are not supported")
    values: list[float | None] = []
    for word in text.split():
        found = _ITEM.fullmatch(word)
        if found is None:
            raise NotationError(
                f"{_shown(word)} is no value: write for example 1, 1x5, 0+10x5, _, _x5 or stale"
            )
        if len(values) + int(found["times"] or found["blanks"] or 0) > MOST_VALUES:
            raise NotationError(f"{word} makes more than {MOST_VALUES} values")
        values.extend(_expanded(found))
    return values


def _expanded(found: re.Match[str]) -> Iterator[float | None]:
    if found["blank"]:
        yield from [None] * int(found["blanks"] or 1)
    elif found["stale"]:
        yield STALE_NAN
    elif found["one"]:
        yield parse_number(found["one"])
    else:
        # Added up step by step, as upstream does: the rounding is part of the value.
        value, by = parse_number(found["start"]), parse_number(found["by"] or "0")
        for _ in range(int(found["times"]) + 1):
            yield value
            value += by


def parse_number(text: str) -> float:
    """A number as PromQL spells it: decimal, hexadecimal, octal (`010`), `Inf`, `NaN`, with `1_000`.

    Raises NotationError.

    >>> parse_number("-0x1F"), parse_number("1_000"), parse_number("010"), parse_number("+Inf")
    (-31.0, 1000.0, 8.0, inf)
    """
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    try:
        if bare[:1] in "+-" or not re.fullmatch(rf"{_UNSIGNED}|{_WORD}|0[xX][0-9a-fA-F_]+", bare):
            raise ValueError
        if bare[:2].lower() == "0x":
            return sign * int(bare, 16)
        value = float(int(bare, 8)) if _OCTAL.fullmatch(bare) else float(bare)
    except (ValueError, OverflowError) as error:
        raise NotationError(f"{_shown(text)} is not a number") from error
    if math.isinf(value) and not re.fullmatch(_WORD, bare):
        raise NotationError(f"{text} is too large for a float64")
    return sign * value


def _unquoted(text: str) -> str:
    try:
        return go_unquote(text)
    except ValueError as error:
        raise NotationError(str(error)) from error


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")
