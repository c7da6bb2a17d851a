"""Text to promql-parser's AST, and what a node of it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser as ast

from model.labels import NAME
from model.matcher import Matcher, Op
from rules.promql.errors import PromQLError
from rules.promql.scrapes import span_of, substitute
from rules.promql.selectors import When
from rules.promql.spelling import at_of, spelt
from telemetry.matching import InvalidMatcher, check
from wire.aliases import aliases_of

_EPOCH = datetime.fromtimestamp(0, UTC)
_MATCHER_OPS = {"Equal": Op.EQUAL, "NotEqual": Op.NOT_EQUAL, "Re": Op.MATCHES, "NotRe": Op.NOT_MATCHES}

LONGEST = 16_384
MOST_OPERATORS = 200

# Strings, comments and the matchers in braces nest nothing.
_ATOMS = re.compile(r"""#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\{[^{}]*\}""")
_OPERATORS = re.compile(r"[-+*/%^(\[<>]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def check_size(text: str) -> None:
    """Refuse what would overflow the stack of the parser, which takes the whole process with it.

    The largest expressions of the rule packs in our tests have 1.5 kB, and 68 operators and brackets.
    """
    if len(text) > LONGEST:
        raise PromQLError(f"the expression has {len(text)} characters; {LONGEST} are the most")
    bare = _ATOMS.sub("", text)
    operators = len(_OPERATORS.findall(bare))
    if operators > MOST_OPERATORS:
        raise PromQLError(
            f"the expression has {operators} operators and brackets; {MOST_OPERATORS} are the most"
        )


def parsed(text: str) -> Any:
    """The AST of promql-parser. Raises PromQLError."""
    check_size(text)
    try:
        return ast.parse(spelt(substitute(text)))
    except ValueError as error:
        raise PromQLError(_shown(error, text)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise PromQLError(f"the parser cannot read this: {text[:80]}") from error


_TYPES = {ast.NumberLiteral: "scalar", ast.StringLiteral: "string", ast.AggregateExpr: "vector"}
_TYPES |= {ast.VectorSelector: "vector", ast.MatrixSelector: "matrix", ast.SubqueryExpr: "matrix"}


def type_of(tree: Any) -> str:
    """Of what type the value of an AST is: scalar, vector, string or matrix."""
    if isinstance(tree, ast.ParenExpr | ast.UnaryExpr):
        return type_of(tree.expr)
    if isinstance(tree, ast.Call):
        return str(tree.func.return_type).rpartition(".")[2].lower()
    if isinstance(tree, ast.BinaryExpr):
        return "scalar" if type_of(tree.lhs) == type_of(tree.rhs) == "scalar" else "vector"
    return _TYPES[type(tree)]


def _shown(error: ValueError, text: str) -> str:
    """The parser's message; where it says nothing of the place, the expression helps to find it."""
    said = str(error)
    if said != "invalid promql query":
        return said
    short = " ".join(text.split())
    return f"is no PromQL: {short[:80]}{'...' if len(short) > 80 else ''}"


def when_of(expression: Any) -> When:
    """What `@` and `offset` say. Raises PromQLError for what no clock shows."""
    offset = milliseconds(expression.offset or timedelta())
    if span_of(abs(offset)).scrapes:
        raise PromQLError(f"the offset is out of range: {expression.prettify()}")
    if expression.at is None:
        return When(offset)
    kind = str(expression.at.type).rpartition(".")[2]
    if kind != "At":
        return When(offset, kind.lower())
    try:
        return When(offset, at_of((expression.at.at - _EPOCH) / timedelta(milliseconds=1)))
    except (ValueError, OverflowError) as error:
        raise PromQLError(f"the time of @ is out of range: {expression.prettify()}") from error


def matchers_of(selector: Any) -> list[Matcher]:
    """The matchers of a selector, its name among them. Raises PromQLError for a regex RE2 refuses."""
    matchers = [Matcher(NAME, Op.EQUAL, selector.name)] if selector.name else []
    for found in selector.matchers.matchers:
        op = _MATCHER_OPS[str(found.op).rpartition(".")[2]]
        matchers.append(_checked(Matcher(found.name, op, found.value)))
    return matchers


def aliased(matchers: list[Matcher]) -> list[list[Matcher]]:
    """The same selector with the names of other engines, where its own is one of vLLM's."""
    first, *rest = matchers
    if first.name != NAME or first.op is not Op.EQUAL:
        return []
    return [
        [
            Matcher(NAME, Op.EQUAL, alias.name),
            *(Matcher(label, Op.EQUAL, value) for label, value in alias.matchers),
            *rest,
        ]
        for alias in aliases_of(first.value)
    ]


def _checked(matcher: Matcher) -> Matcher:
    try:
        check(matcher)
    except InvalidMatcher as error:
        raise PromQLError(str(error)) from error
    return matcher


def milliseconds(duration: timedelta) -> int:
    """A duration in whole ms."""
    return duration // timedelta(milliseconds=1)


def unwrapped(expression: Any) -> Any:
    """The expression without parentheses around it."""
    while isinstance(expression, ast.ParenExpr):
        expression = expression.expr
    return expression


def selectors_in(expression: Any) -> list[Any]:
    """The vector selectors of an AST."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, ast.VectorSelector) and node not in found:
            found.append(node)
        return True

    ast.walk(expression, pre_visit=visit)
    return found
