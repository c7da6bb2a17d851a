"""PromQL in a runbook: `$node`, `$uuid` and `$gpu` stand for the target and are filled in as label values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from model.labels import escape
from rules.promql.answer import Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import parse
from rules.weight import without_weight
from telemetry.window import Window

VARIABLES = ("node", "uuid", "gpu")

_VARIABLE = re.compile(r"\$(\w+)")


class UnknownVariable(ValueError):
    """An expression names a variable that the target does not have."""


def fill(expression: str, values: Mapping[str, str]) -> str:
    """The expression with every variable replaced, safe between double quotes.

    Raises UnknownVariable.

    >>> fill('up{node="$node"}', {"node": "node-3"})
    'up{node="node-3"}'
    """

    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[1], "")
        if not value:
            raise UnknownVariable(f"the alert gives no ${found[1]}")
        return escape(value)

    return _VARIABLE.sub(value_of, expression)


def checked(expression: str) -> str:
    """The expression if it is PromQL with known variables. Raises ValueError with what is wrong."""
    unknown = sorted({name for name in _VARIABLE.findall(expression) if name not in VARIABLES})
    if unknown:
        known = ", ".join(f"${name}" for name in VARIABLES)
        raise ValueError(f"unknown variable ${', $'.join(unknown)}: known are {known}")
    without_weight(fill(expression, dict.fromkeys(VARIABLES, "x")))
    try:
        # On an empty window: what matters is the kind of its answer.
        answer = parse(fill(expression, dict.fromkeys(VARIABLES, "x"))).evaluate(Window(), at=0)
    except (PromQLError, EvaluationError) as error:
        raise ValueError(f"is not PromQL that can be evaluated here: {error}") from error
    if not isinstance(answer, Vector):
        raise ValueError("is a number, not a vector: write a condition on series, for example up == 0")
    return expression
