"""Matchers as predicates: RE2, anchored at both ends, `.` matches a newline too, as in Prometheus 3."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import re2

from model.matcher import Matcher, Op

_SPECIAL = frozenset(r"\.+*?()[]{}^$|")


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
    match = _expression(wanted)
    if matcher.op is Op.MATCHES:
        return match
    return lambda value: not match(value)


def check(matcher: Matcher) -> None:
    """Raises InvalidMatcher if the matcher's regular expression is none."""
    predicate(matcher)


def _expression(text: str) -> Callable[[str], bool]:
    choices = text.split("|")
    if not any(_SPECIAL.intersection(choice) for choice in choices):
        return frozenset(choices).__contains__  # a|b|c needs no automaton
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise InvalidMatcher(f"{text!r} is not an RE2 regular expression: {why}") from error
    return lambda value: compiled.fullmatch(value) is not None
