"""The part of Go's text/template that alert rules use, filled in as Prometheus does.

Compiled at load, so that an unknown function or piece of syntax is an error of the rule file and not a
broken page at night. There are pipelines, `$labels`, `$value`, `$externalLabels`, `$externalURL` (also as
`.Labels` and so on), variables, `if`, `with` and `range` with `else`, comments, trim markers, and the
functions of wire/functions.py. `query` asks what the caller of render() gives it. There is no `define`,
`template` or `break`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wire.functions import FUNCTIONS, Function, a_string
from wire.gotext import QueriedSample, TemplateValueError, Value, go_text
from wire.template_language import ANY, LOGIC, Expression, Kind, Language, Node, Scope, run
from wire.template_parser import Parser
from wire.template_tokens import TemplateError, pieces

__all__ = ["Template", "TemplateError", "compile", "unexpanded"]

_VARIABLES = {
    "$labels": "Labels",
    "$value": "Value",
    "$externalLabels": "ExternalLabels",
    "$externalURL": "ExternalURL",
}

Query = Callable[[str], list[QueriedSample]]
"""Evaluates PromQL for the template function `query`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    text: str
    nodes: tuple[Node, ...]

    def expand(
        self,
        labels: Mapping[str, str],
        value: float,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        query: Query | None = None,
    ) -> str:
        """The text for one alert. Raises TemplateValueError where a function cannot work on what it got."""
        root: dict[str, Value] = {
            "Labels": labels,
            "Value": float(value),
            "ExternalLabels": external_labels or {},
            "ExternalURL": external_url,
        }
        variables = {name: root[field] for name, field in _VARIABLES.items()}
        return run(self.nodes, Scope(root, variables, query))

    def render(
        self,
        labels: Mapping[str, str],
        value: float,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        query: Query | None = None,
    ) -> str:
        """The same, where an error becomes text, as in Prometheus: a flawed page is better than none."""
        try:
            return self.expand(labels, value, external_labels, external_url, query)
        except TemplateValueError as error:
            return unexpanded(error)


def unexpanded(error: TemplateValueError) -> str:
    """What stands in an alert in place of a text that could not be made."""
    return f"<error expanding template: {error}>"


def compile(text: str) -> Template:
    """A template ready to be rendered. Raises TemplateError.

    >>> compile('{{ $labels.pod }}: {{ $value | humanizePercentage }}').render({"pod": "a"}, 0.25)
    'a: 25%'
    """
    parser = Parser(pieces(text), _LANGUAGE)
    nodes, end = parser.block()
    if end is not None:
        raise TemplateError(f"unexpected {{{{ {end} }}}}")
    return Template(text, tuple(nodes))


def _query(scope: Scope, argument: Expression) -> Value:
    if scope.given is None:
        raise TemplateValueError("there is nothing to query here")
    found: Value = scope.given(a_string(argument(scope)))
    return found


def _member(value: Any, field: str, _: Sequence[Any]) -> Any:
    if isinstance(value, QueriedSample) and field in ("Labels", "Value"):
        return value.labels if field == "Labels" else value.value
    if isinstance(value, Mapping):
        return value.get(field, "")
    raise TemplateValueError(f"no field {field} in {go_text(value)}")


class _Root(Kind):
    """The root of a rule's templates, in whose words an unknown field is told."""

    def member(self, name: str, given: int = 0) -> Kind:
        if name not in self.fields:
            raise TemplateError(f"unknown field .{name}")
        return ANY


_LANGUAGE = Language(
    functions=FUNCTIONS,
    scoped={
        **LOGIC,
        "query": Function(_query, 1, 1),
        "externalURL": Function(lambda scope: scope.root["ExternalURL"], 0, 0),
        "pathPrefix": Function(lambda scope: urlsplit(str(scope.root["ExternalURL"])).path, 0, 0),
    },
    root=_Root("a rule's data", dict.fromkeys(_VARIABLES.values(), ANY)),
    variables=_VARIABLES,
    member=_member,
)
