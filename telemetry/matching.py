"""Regular expressions and matchers: RE2, anchored at both ends, `.` matches a newline, as in Prometheus 3."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import re2

from model.matcher import Matcher, Op

_SPECIAL = frozenset(r"\.+*?()[]{}^$|")
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)


class InvalidMatcher(ValueError):
    """A regular expression that RE2 does not take, and why."""


@lru_cache(maxsize=4096)
def predicate(matcher: Matcher) -> Callable[[str], bool]:
    """Whether a label's value matches ("" stands for no such label). Raises InvalidMatcher."""
    wanted = matcher.value
    if matcher.op is Op.EQUAL:
        return lambda value: value == wanted
    if matcher.op is Op.NOT_EQUAL:
        return lambda value: value != wanted
    match = _matches(wanted)
    if matcher.op is Op.MATCHES:
        return match
    return lambda value: not match(value)


def check(matcher: Matcher) -> None:
    """Raises InvalidMatcher if the matcher's regular expression is none."""
    predicate(matcher)


def plain_choices(text: str) -> list[str] | None:
    """The values that a regular expression like `a|b|c` takes; None if it is more than that."""
    choices = text.split("|")
    return None if any(_SPECIAL.intersection(choice) for choice in choices) else choices


def _matches(text: str) -> Callable[[str], bool]:
    choices = plain_choices(text)
    if choices is not None:
        return frozenset(choices).__contains__  # it needs no automaton
    compiled = expression(text)
    return lambda value: compiled.fullmatch(value) is not None


@lru_cache(maxsize=4096)
def expression(text: str) -> Any:
    """The regular expression, for use with `fullmatch`; nothing about it goes to stderr.

    Raises InvalidMatcher if RE2 does not take it.
    """
    try:
        return re2.compile(text, _options())
    except re2.error as error:
        why = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise InvalidMatcher(f"{text!r} is not an RE2 regular expression: {why}") from error


def together(texts: Sequence[str]) -> Callable[[str], list[int] | None]:
    """Several regular expressions at once: gives the places of those that match a whole value, in one pass.

    What it returns gives None where RE2 has not the memory to say. Raises InvalidMatcher if it takes one of
    them for none, or all of them for too many.

    >>> sorted(together(["a.*", "b", ".*c"])("abc"))
    [0, 2]
    """
    try:
        found = re2.Set.FullMatchSet(_options())
        for text in (*texts, ".*"):  # the last one always matches: without it there was no answer
            found.Add(text)
        found.Compile()
    except re2.error as error:
        raise InvalidMatcher(f"{len(texts)} regular expressions together: {error}") from error
    last = len(texts)

    def places(value: str) -> list[int] | None:
        matched = found.Match(value)
        return [place for place in matched if place != last] if matched else None

    return places


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return options


def expand(template: str, found: Any) -> str:
    """Go's Regexp.Expand: `$name` takes the longest name, an unknown group is empty, `$$` is `$`.

    `found` is the match whose groups are meant.
    """
    if "$" not in template:
        return template

    def one(variable: re.Match[str]) -> str:
        if variable[1]:
            return "$"
        name = variable[2] or variable[3]
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _VARIABLE.sub(one, template)
