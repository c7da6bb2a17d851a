"""Matchers in a route: written as in a selector, compiled once to RE2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from model.matcher import Matcher, Op
from telemetry.matching import InvalidMatcher, predicate

_MATCHER = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<op>=~|!~|!=|=)\s*
        (?P<value>"(?:[^"\\]|\\.)*"|[^\s",{}]*)\s*""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse_matchers(text: str) -> list[Matcher]:
    r"""The matchers of one line: `tier="P0"`, or several with commas, braces allowed.

    Raises ValueError that shows the place and the way out.

    >>> [str(matcher) for matcher in parse_matchers('{tier=~"P0|P1", job!=node}')]
    ['tier=~"P0|P1"', 'job!="node"']
    """
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}"):
        raise ValueError(f"{text!r}: a brace is not closed")
    inner = inner.removeprefix("{").removesuffix("}").strip().removesuffix(",")
    matchers, position = [], 0
    while position < len(inner):
        found = _MATCHER.match(inner, position)
        if found is None or inner[found.end() : found.end() + 1] not in ("", ","):
            place = inner[position:] if found is None else inner[found.end() :]
            raise ValueError(f'{text!r}: cannot read {place!r}: write for example tier="P0"')
        matchers.append(_matcher(found, text))
        position = found.end() + 1
    return matchers


def _matcher(found: re.Match[str], text: str) -> Matcher:
    value = found["value"]
    if value.startswith('"'):
        value = _ESCAPED.sub(lambda escaped: _ESCAPES.get(escaped[1], escaped[0]), value[1:-1])
    matcher = Matcher(found["name"], Op(found["op"]), value)
    try:
        predicate(matcher)
    except InvalidMatcher as error:
        raise ValueError(f"{text!r}: {error}") from error
    return matcher


class LabelMatch:
    """All of several matchers at once; a label that is missing has the empty value."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self._predicates = [(matcher.name, predicate(matcher)) for matcher in self.matchers]

    def __call__(self, labels: Mapping[str, str]) -> bool:
        """Whether every matcher takes these labels."""
        return all(matches(labels.get(name, "")) for name, matches in self._predicates)

    def __str__(self) -> str:
        return "{" + ",".join(str(matcher) for matcher in self.matchers) + "}"
