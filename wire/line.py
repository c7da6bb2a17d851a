"""One line of the Prometheus text format or of OpenMetrics, parsed with care.

The decoder of wire/text.py comes here with lines it has not met before, so this is written for
correctness, not for speed. Its yardstick is the lexer of Prometheus 3 (model/textparse/promlex.l and
openmetricslex.l). Three things are taken more kindly than there: CRLF line ends, exemplars under
text/plain, and OpenMetrics' type names under text/plain.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass

from model.labels import NAME

SAMPLE_TYPES = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "gaugehistogram": "histogram",
    "summary": "summary",
    "info": "gauge",
    "stateset": "gauge",
    "untyped": "unknown",
    "unknown": "unknown",
}
"""Type words of both formats -> the type that a series gets."""

_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_BLOCK = rb'(\{(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+\})'
_SAMPLE = re.compile(rb"[ \t]*+([a-zA-Z_:][a-zA-Z0-9_:]*+)?(?:[ \t]*+" + _BLOCK + rb")?([^#]*+)(#.*+)?")
_LABEL = re.compile(
    rb"[ \t]*+(?:([a-zA-Z_][a-zA-Z0-9_]*+)|" + _QUOTED + rb")[ \t]*+"
    rb"(?:=[ \t]*+" + _QUOTED + rb")?[ \t]*+(,|$)"
)
_EXEMPLAR = re.compile(rb"#[ \t]*+" + _BLOCK + rb"[ \t]++([^ \t]++)(?:[ \t]++([^ \t]++))?[ \t]*+")
_COMMENT = re.compile(
    rb"[ \t]*+#[ \t]++(HELP|TYPE|UNIT)[ \t]++(?:([a-zA-Z_:][a-zA-Z0-9_:]*+)|" + _QUOTED + rb")"
    rb"(?:[ \t]++(.*+))?"
)
_NUMBER = re.compile(
    rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE
)
_ESCAPE = re.compile(rb'\\([\\"n])')
_HELP_ESCAPE = re.compile(rb"\\([\\n])")
_GAP = re.compile(rb"[ \t]++")


class MalformedLine(ValueError):
    """The line is not what the format allows; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SampleLine:
    """A line with a value: label pairs (name first), the number as written, and its own time."""

    pairs: list[tuple[str, str]]
    number: bytes
    time: int | None
    """Milliseconds since the epoch, None if the line has none."""
    plain: bool
    """Nothing but series, one gap and the number: the rest of the line identifies the series."""


@dataclass(frozen=True, slots=True)
class TypeLine:
    """`# TYPE family type`."""

    family: str
    type: str


def parse_number(text: bytes) -> float:
    """A value as Prometheus reads it: neither hexadecimal, nor underscores, nor out of range.

    Raises MalformedLine. `infinity` and `NaN` may be spelled in any case; NaN takes no sign.
    """
    if not _NUMBER.fullmatch(text):
        raise MalformedLine(f"{excerpt(text)} is not a number")
    value = float(text)
    if math.isinf(value) and text[-1:].lower() not in (b"f", b"y"):
        raise MalformedLine(f"{excerpt(text)} is out of range")
    return value


def parse_line(line: bytes, openmetrics: bool = False) -> SampleLine | TypeLine | None:
    """What the line says; None for a comment or an empty line. Raises MalformedLine."""
    stripped = line.strip(b" \t")
    if not stripped:
        return None
    if stripped.startswith(b"#"):
        return _parse_comment(line)
    return _parse_sample(line, openmetrics)


def excerpt(text: bytes, length: int = 60) -> str:
    """The beginning of `text`, quoted, fit for a message."""
    shown = text[:length].decode("utf-8", "backslashreplace")
    return repr(shown + ("..." if len(text) > length else ""))


def _parse_comment(line: bytes) -> TypeLine | None:
    found = _COMMENT.fullmatch(line)
    if not found:
        if re.match(rb"[ \t]*+#[ \t]++TYPE(?:[ \t]|$)", line):
            raise MalformedLine("TYPE without a metric name")
        return None
    if found[1] != b"TYPE":
        return None
    word = (found[4] or b"").strip(b" \t").decode("utf-8", "replace")
    if word not in SAMPLE_TYPES:
        raise MalformedLine(f"unknown metric type {word!r}")
    family = _text(found[2] if found[2] is not None else _unescape(found[3]))
    return TypeLine(family, SAMPLE_TYPES[word])


def parse_metadata(line: bytes) -> tuple[str, str, str] | None:
    """(HELP, TYPE or UNIT; the family; the text) of a comment that says such a thing, else None.

    What is not valid UTF-8 is shown as such: nothing but a reader's eye depends on it.
    """
    found = _COMMENT.fullmatch(line)
    if found is None:
        return None
    family = found[2] if found[2] is not None else _unescape(found[3])
    word, text = found[1].decode(), (found[4] or b"").strip(b" \t")
    if word == "HELP":
        text = _HELP_ESCAPE.sub(lambda escaped: b"\n" if escaped[1] == b"n" else b"\\", text)
    return word, family.decode("utf-8", "replace"), text.decode("utf-8", "replace")


def _parse_sample(line: bytes, openmetrics: bool) -> SampleLine:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise MalformedLine("neither a comment nor `name{labels} value`")
    name, block, rest, exemplar = found.groups()
    pairs = _parse_labels(block[1:-1]) if block else []
    if name is not None:
        if any(key == NAME for key, _ in pairs):
            raise MalformedLine("a second name")
        pairs.insert(0, (NAME, _text(name)))
    if not pairs or pairs[0][0] != NAME:
        raise MalformedLine("a series without a name")
    if not block and not rest.startswith((b" ", b"\t")):
        raise MalformedLine("no value after the name")
    number, time = _parse_rest(rest, openmetrics)
    if exemplar is not None:
        _check_exemplar(exemplar)
    plain = exemplar is None and time is None and line.endswith(b" " + number)
    return SampleLine(pairs, number, time, plain)


def _parse_labels(block: bytes) -> list[tuple[str, str]]:
    """Label pairs between the braces; a lone quoted name in front is the metric's name (UTF-8 names)."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(block):
        found = _LABEL.match(block, position)
        if found is None:
            if not block[position:].strip(b" \t") and position == 0:
                break
            raise MalformedLine(f"bad labels at {excerpt(block[position:])}")
        name = found[1] if found[1] is not None else _unescape(found[2])
        if not name:
            raise MalformedLine("an empty name in quotes")
        if found[3] is not None:
            pairs.append((_text(name), _text(_unescape(found[3]))))
        elif found[2] is not None and not pairs:
            pairs.append((NAME, _text(name)))
        else:
            raise MalformedLine(f"label {excerpt(name)} has no value")
        position = found.end()
        if found[4] and not block[position:].strip(b" \t"):
            break
    return pairs


def _parse_rest(rest: bytes, openmetrics: bool) -> tuple[bytes, int | None]:
    words = _GAP.split(rest.strip(b" \t"))
    if not words[0]:
        raise MalformedLine("no value")
    if len(words) > 2:
        raise MalformedLine(f"{excerpt(words[2])} after the timestamp")
    parse_number(words[0])
    return words[0], _parse_time(words[1], openmetrics) if len(words) == 2 else None


def _parse_time(text: bytes, openmetrics: bool) -> int:
    """Milliseconds; OpenMetrics writes seconds. 0 means "no time" further on, so the epoch becomes 1."""
    if openmetrics:
        seconds = parse_number(text)
        if not math.isfinite(seconds) or abs(seconds) > 2**53 / 1000:
            raise MalformedLine(f"{excerpt(text)} is not a timestamp")
        return round(seconds * 1000) or 1
    if not text.isdigit() or len(text) > 16:
        raise MalformedLine(f"{excerpt(text)} is not a timestamp in milliseconds")
    return int(text) or 1


def _check_exemplar(text: bytes) -> None:
    """Exemplars are not kept, but a broken one is a broken body."""
    found = _EXEMPLAR.fullmatch(text)
    if found is None:
        raise MalformedLine(f"bad exemplar {excerpt(text)}")
    _parse_labels(found[1][1:-1])
    parse_number(found[2])
    if found[3] is not None:
        parse_number(found[3])


def _unescape(raw: bytes) -> bytes:
    r"""Undo `\\`, `\"` and `\n`; any other backslash stands for itself, as in Prometheus."""
    if b"\\" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: b"\n" if found[1] == b"n" else found[1], raw)


def _text(raw: bytes) -> str:
    """Interned: a page says the same few names and values on hundreds of lines."""
    try:
        return sys.intern(raw.decode())
    except UnicodeDecodeError as error:
        raise MalformedLine(f"{excerpt(raw)} is not valid UTF-8") from error
