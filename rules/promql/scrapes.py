"""`$scrapes(n)`: a range of n scrape intervals, whatever the interval of the target that is looked at.

PromQL has no such duration. So the text carries a sentinel, n x 1000 years, through the parser, and it
is resolved when a slab is read: one rule is right for targets scraped each second and each minute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.moment import DAY, format_duration, parse_duration
from rules.promql.errors import PromQLError

_UNIT = 1000 * 365 * DAY
_IN_RANGE = re.compile(r"\[\s*\$scrapes\(\s*([1-9]\d{0,2})\s*\)\s*\]")
_WHOLE = re.compile(r"\$scrapes\(\s*([1-9]\d{0,2})\s*\)")
_LONG = re.compile(r"(?<![\w.])(\d+)y(?![a-zA-Z_])")
_LEFT_OVER = re.compile(r"\$\w+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')

_BYTES = re.compile(r"\\x[89a-fA-F][0-9a-fA-F]|\\[23][0-7]{2}")


@dataclass(frozen=True, slots=True)
class Span:
    """A duration: `fixed` ms, or `scrapes` intervals if that is not 0."""

    fixed: int = 0
    scrapes: int = 0

    def at(self, interval: int) -> int:
        """Milliseconds for a series that is scraped every `interval` ms."""
        return self.scrapes * interval or self.fixed

    def __str__(self) -> str:
        return f"$scrapes({self.scrapes})" if self.scrapes else format_duration(self.fixed)


def parse_span(text: str) -> Span:
    """`5m` or `$scrapes(4)`. Raises ValueError with the way out."""
    found = _WHOLE.fullmatch(text)
    return Span(scrapes=int(found[1])) if found else Span(parse_duration(text))


def substitute(text: str) -> str:
    """The expression with sentinels for `[$scrapes(n)]`. Raises PromQLError for any other use of `$`."""
    if _BYTES.search("".join(_STRING.findall(text))):
        raise PromQLError(
            "a byte escape above \\x7f in a string is not supported: write the character itself"
        )
    outside = _STRING.sub('""', text)
    for found in _LONG.finditer(outside):
        if int(found[1]) >= 292:
            raise PromQLError(f"the duration {found[0]} is out of range")
    left_over = _LEFT_OVER.search(_IN_RANGE.sub("", outside))
    if left_over is not None:
        raise PromQLError(
            f"{left_over[0]} is not supported here: $scrapes(n) stands alone in a range, [$scrapes(4)]"
        )
    if "$" not in outside:
        return text
    return _IN_RANGE.sub(lambda found: f"[{int(found[1]) * 1000}y]", text)


def span_of(milliseconds: int) -> Span:
    """What a duration of the parsed text means."""
    if milliseconds >= _UNIT:
        return Span(scrapes=milliseconds // _UNIT)
    return Span(milliseconds)


def with_interval(text: str, interval: int) -> str:
    """Plain PromQL for targets that are all scraped every `interval` ms."""
    return _WHOLE.sub(lambda found: format_duration(int(found[1]) * interval), text)
