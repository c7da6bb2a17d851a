"""Matchers in routes, inhibition rules, silences and filters: written as in Alertmanager, compiled to RE2.

Alertmanager has two syntaxes, and three modes of reading: `classic`, `utf8`, and `fallback` (the default,
there as here), which reads UTF-8, takes the classic reading where that fails or differs, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from alertmanager.classic_syntax import read_classic_matcher, read_classic_matchers
from alertmanager.matcher_syntax import RESERVED, read_matchers
from alertmanager.quoting import quote
from model.matcher import Matcher, Op
from telemetry.matching import InvalidMatcher, expression, predicate

log = logging.getLogger("fleetowl.alertmanager")

Mode = Literal["classic", "utf8", "fallback"]
_Pieces = list[tuple[str, Op, str]]

# RE2's words in C++ (which run here) and in Go (which a user of Alertmanager knows).
_IN_GO = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
}
_RANK = {op: rank for rank, op in enumerate((Op.EQUAL, Op.NOT_EQUAL, Op.MATCHES, Op.NOT_MATCHES))}


def parse_matchers(text: str, mode: Mode = "fallback") -> list[Matcher]:
    r"""The matchers of one line: `tier="P0"`, or several with commas, braces allowed.

    Raises ValueError in Alertmanager's words; in fallback mode those of the classic syntax.

    >>> [str(matcher) for matcher in parse_matchers('{tier=~"P0|P1", job!=node}')]
    ['tier=~"P0|P1"', 'job!="node"']
    """
    return list(_parsed(text, mode, False))


def parse_matcher(text: str, mode: Mode = "fallback") -> Matcher:
    """The one matcher of a text without braces. Raises ValueError, as parse_matchers, if it is not one.

    >>> str(parse_matcher("tier=P0"))
    'tier="P0"'
    """
    if mode != "classic" and (text.startswith("{") or text.endswith("}")):
        raise ValueError(f"unexpected open or close brace: {text}")
    return _parsed(text, mode, True)[0]


def parse_utf8_matcher(text: str) -> Matcher:
    """The one matcher of a text that may have braces, in the UTF-8 syntax. Raises ValueError."""
    found = parse_matchers(text, "utf8")
    if not found:
        raise ValueError("no matchers")
    if len(found) > 1:
        raise ValueError(f"expected 1 matcher, found {len(found)}")
    return found[0]


# Kept, so that a line that is read at each reload and for each route warns once.
@lru_cache(maxsize=4096)
def _parsed(text: str, mode: Mode, single: bool) -> tuple[Matcher, ...]:
    if mode == "classic":
        return _classic(text, single)
    if mode == "utf8":
        return _utf8(text, single)
    modern, modern_error = _try(_utf8, text, single)
    classic, classic_error = _try(_classic, text, single)
    if modern is None and classic is None:
        raise classic_error or ValueError(text)
    if modern is None and classic is not None:
        spelled = format_matchers(classic)
        why = f"{modern_error}; read in the classic syntax"
        log.warning("matchers %r are not in the UTF-8 syntax (%s): write %s", text, why, spelled)
        return classic
    if classic is not None and modern != classic:
        both = f"{format_matchers(classic)}, which is taken, or {format_matchers(modern or ())}"
        log.warning("matchers %r can be read in two ways: %s: put values in double quotes", text, both)
        return classic
    return modern or ()


def _try(
    read: Callable[[str, bool], tuple[Matcher, ...]], text: str, single: bool
) -> tuple[tuple[Matcher, ...] | None, ValueError | None]:
    try:
        return read(text, single), None
    except ValueError as error:
        return None, error


def _classic(text: str, single: bool) -> tuple[Matcher, ...]:
    return _checked([read_classic_matcher(text)] if single else read_classic_matchers(text))


def _utf8(text: str, single: bool) -> tuple[Matcher, ...]:
    found = read_matchers(text)
    if single and len(found) != 1:
        raise ValueError(f"expected 1 matcher, found {len(found)}" if found else "no matchers")
    return _checked(found, "failed to create matcher: ")


def _checked(pieces: _Pieces, prefix: str = "") -> tuple[Matcher, ...]:
    matchers = []
    for piece in pieces:
        matcher = Matcher(*piece)
        try:
            predicate(matcher)
        except InvalidMatcher as error:
            raise ValueError(prefix + regexp_error(matcher.value)) from error
        matchers.append(matcher)
    return tuple(matchers)


def regexp_error(text: str) -> str:
    """What Go says of a regular expression that RE2 refuses, anchored as Alertmanager anchors it."""
    try:
        expression(f"^(?:{text})$")
    except InvalidMatcher as error:
        said = str(error.__cause__.args[0].decode()) if error.__cause__ else str(error)
        code, _, part = said.partition(": ")
        return f"error parsing regexp: {_IN_GO.get(code, code)}: `{part}`"
    return f"error parsing regexp: {text!r} is not a regular expression by itself"


def format_matcher(matcher: Matcher) -> str:
    """One matcher as Alertmanager writes it: the name in quotes where the classic syntax has no such name."""
    if RESERVED.isdisjoint(matcher.name):
        return str(matcher)
    return f"{quote(matcher.name)}{matcher.op.value}{quote(matcher.value)}"


def format_matchers(matchers: Iterable[Matcher]) -> str:
    """Several as Alertmanager writes them, `{a="b",c="d"}`."""
    return "{" + ",".join(format_matcher(matcher) for matcher in matchers) + "}"


def in_order(matchers: Iterable[Matcher]) -> list[Matcher]:
    """Sorted as Alertmanager sorts the matchers of a route: by name, value, operator."""
    return sorted(matchers, key=lambda matcher: (matcher.name, matcher.value, _RANK[matcher.op]))


def old_style(equal: Mapping[str, str], matches: Mapping[str, str]) -> list[Matcher]:
    """What `match` and `match_re` mean. The regular expressions carry their anchors, as Alertmanager's do."""
    return [
        *(Matcher(name, Op.EQUAL, value) for name, value in equal.items()),
        *(Matcher(name, Op.MATCHES, f"^(?:{value})$") for name, value in matches.items()),
    ]


class LabelMatch:
    """All of several matchers at once; a label that is missing has the empty value."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self._predicates = [(matcher.name, predicate(matcher)) for matcher in self.matchers]

    def __call__(self, labels: Mapping[str, str]) -> bool:
        """Whether every matcher takes these labels."""
        return all(matches(labels.get(name, "")) for name, matches in self._predicates)

    def __str__(self) -> str:
        return format_matchers(self.matchers)
