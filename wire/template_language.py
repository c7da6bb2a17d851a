"""What a dialect of templates knows: functions, the fields of its values, and how a value is printed.

Rules' annotations and notifications share syntax and evaluation; they differ in this. What is known of a
value at load (its Kind) finds a misspelt field before the first page at night.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wire.functions import Function
from wire.gotext import TemplateValueError, Value, go_text
from wire.template_tokens import TemplateError


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a value at load: which fields and methods it has; `other` is what any name gives.

    A field is a name with a Kind; a method that takes arguments also says how many in `arguments`.
    """

    name: str
    fields: Mapping[str, Kind] = field(default_factory=dict)
    arguments: Mapping[str, int] = field(default_factory=dict)
    other: Kind | None = None
    element: Kind | None = None

    def member(self, name: str, given: int = 0) -> Kind:
        """The kind of a field. Raises TemplateError if there is none, or its arguments are wrong."""
        if self.name == "any":
            return self
        found = self.fields.get(name, self.other)
        if found is None:
            raise TemplateError(f"{self.name} has no field {name}{_known(self.fields)}")
        wanted = self.arguments.get(name, 0)
        if given != wanted:
            raise TemplateError(f"{name} takes {wanted} arguments, not {given}")
        return found


ANY = Kind("any")
"""Nothing is known: what the value has is seen when it is printed."""


def _known(fields: Mapping[str, Kind]) -> str:
    return f" (it has {', '.join(sorted(fields))})" if fields else ""


class Scope:
    """What expressions see while a template is rendered; `dots` empty: the dot is the root."""

    __slots__ = ("dots", "given", "root", "variables")

    def __init__(self, root: Any, variables: dict[str, Any], given: Any = None) -> None:
        self.root = root
        self.dots: list[Any] = []
        self.variables = variables
        self.given = given

    @property
    def dot(self) -> Any:
        """The innermost dot."""
        return self.dots[-1] if self.dots else self.root


Expression = Callable[[Scope], Any]
Node = Callable[[Scope], str]


class Term(NamedTuple):
    """An expression, and what is known of its value."""

    run: Expression
    kind: Kind = ANY


class Printer:
    """How literal text and values become output; this one prints values as Go does.

    `state` is where in the output the next piece stands; a dialect that does not care leaves it.
    """

    state: Any = None

    def literal(self, text: str) -> str:
        """Text of the template itself."""
        return text

    def value(self) -> Callable[[Any], str]:
        """Prints a value at this place. Raises TemplateError where none may stand."""
        return go_text

    def join(self, one: Any, other: Any, keyword: str) -> Any:
        """Where the output stands after a branch that may go two ways. Raises TemplateError."""
        if one != other:
            raise TemplateError(f"the branches of {{{{ {keyword} }}}} end in different places of the HTML")
        return one


@dataclass(frozen=True, slots=True)
class Language:
    """A dialect. `scoped` functions are given the scope and their arguments not yet evaluated."""

    functions: Mapping[str, Function]
    scoped: Mapping[str, Function]
    root: Kind
    variables: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Kind] = field(default_factory=dict)
    member: Callable[[Any, str, Sequence[Any]], Any] = lambda value, name, _: _no_field(value, name)
    element: Callable[[Any], Sequence[tuple[Any, Any]]] = lambda value: entries(value)
    printer: Callable[[], Printer] = Printer
    templates: Callable[[str, Kind, Printer], Callable[[Any, Any], str]] | None = None
    dots_known: bool = False

    def result(self, name: str, arguments: Sequence[Kind]) -> Kind:
        """What is known of what a function returns."""
        if name == "index" and arguments:
            kind = arguments[0]
            for _ in arguments[1:]:
                kind = kind.element or kind.other or ANY
            return kind
        if name in ("and", "or") and arguments and all(kind is arguments[0] for kind in arguments):
            return arguments[0]
        return self.results.get(name, ANY)


def _no_field(value: Any, name: str) -> Any:
    raise TemplateValueError(f"no field {name} in {go_text(value)}")


def entries(value: Value) -> list[tuple[Any, Any]]:
    """What `range` goes through: index or key, and element."""
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list):
        return list(enumerate(value))
    if value is None:
        return []
    raise TemplateValueError(f"range cannot iterate over {go_text(value)}")


def run(nodes: Sequence[Node], scope: Scope) -> str:
    """The output of nodes in turn."""
    return "".join(node(scope) for node in nodes)


def within(scope: Scope, dot: Any, nodes: Sequence[Node]) -> str:
    """The same with another dot."""
    scope.dots.append(dot)
    try:
        return run(nodes, scope)
    finally:
        scope.dots.pop()


def and_(scope: Scope, *arguments: Expression) -> Any:
    """The first empty value, else the last; what comes after is not evaluated."""
    value: Any = None
    for argument in arguments:
        value = argument(scope)
        if not value:
            break
    return value


def or_(scope: Scope, *arguments: Expression) -> Any:
    """The first value that is not empty, else the last; what comes after is not evaluated."""
    value: Any = None
    for argument in arguments:
        value = argument(scope)
        if value:
            break
    return value


LOGIC: Mapping[str, Function] = {"and": Function(and_, 1, 99), "or": Function(or_, 1, 99)}
