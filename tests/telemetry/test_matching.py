"""Matchers mean what Prometheus means."""

from __future__ import annotations

import pytest

from model.matcher import Matcher, Op
from telemetry.matching import InvalidMatcher, check, predicate


def matches(op: Op, pattern: str, value: str) -> bool:
    return predicate(Matcher("x", op, pattern))(value)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("a", "a", True),
        ("a", "ab", False),  # anchored at the end
        ("b", "ab", False),  # and at the beginning
        ("a|bc", "bc", True),
        ("a|bc", "abc", False),
        ("a|", "", True),
        (".*", "", True),
        (".+", "", False),
        ("a.c", "a\nc", True),  # a dot is any character
        ("(?i)ABC", "abc", True),
        (r"10\.0\.0\.1:9100", "10.0.0.1:9100", True),
        ("é.", "éx", True),
        ("[0-9]{2}", "42", True),
    ],
)
def test_expressions_are_anchored(pattern: str, value: str, expected: bool) -> None:
    assert matches(Op.MATCHES, pattern, value) is expected
    assert matches(Op.NOT_MATCHES, pattern, value) is not expected


def test_equality_takes_no_expression() -> None:
    assert matches(Op.EQUAL, "a.c", "a.c")
    assert not matches(Op.EQUAL, "a.c", "abc")
    assert matches(Op.NOT_EQUAL, "a", "")


@pytest.mark.parametrize("pattern", ["a(b", "*", "[", r"(?=look)", r"\1"])
def test_what_re2_does_not_take_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(InvalidMatcher, match="is not an RE2 regular expression"):
        check(Matcher("x", Op.MATCHES, pattern))


def test_an_expression_that_would_never_end_elsewhere_does() -> None:
    assert not matches(Op.MATCHES, "(a+)+b", "a" * 50_000)
