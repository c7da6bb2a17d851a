"""The part of Go's text/template that alert rules use, filled in as Prometheus does.

Compiled at load, so that an unknown function or piece of syntax is an error of the rule file and not a
broken page at night. There are pipelines, `$labels`, `$value`, `$externalLabels`, `$externalURL` (also as
`.Labels` and so on), variables, `if`, `with` and `range` with `else`, comments, trim markers, and the
functions of wire/functions.py. `query` asks what the caller of render() gives it. There is no `define`,
`template` or `break`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from wire.functions import FUNCTIONS, Function, a_string
from wire.gotext import QueriedSample, TemplateValueError, Value, go_text, go_unquote


class TemplateError(ValueError):
    """The template does not compile; the message names what is not understood."""


_VARIABLES = {
    "$labels": "Labels",
    "$value": "Value",
    "$externalLabels": "ExternalLabels",
    "$externalURL": "ExternalURL",
}
_CONSTANTS: Mapping[str, Value] = {"true": True, "false": False, "nil": None}
_BLOCKS = ("if", "with", "range")
_LATER = frozenset({"define", "template", "block", "break", "continue"})
_ACTION = re.compile(
    r"\{\{(?P<left>-(?=\s))?"
    r'(?P<code>(?:/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|`[^`]*`|\}(?!\})|[^"`}])*?)'
    r"(?P<right>(?<=\s)-)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)'
    r"|(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<word>[A-Za-z_]\w*)|(?P<mark>:=|=|[|(),]))"
)


Query = Callable[[str], list[QueriedSample]]
"""Evaluates PromQL for the template function `query`."""


class _Scope:
    """What expressions see while a template is rendered."""

    def __init__(self, root: Mapping[str, Value], query: Query | None) -> None:
        self.root = root
        self.query = query
        self.dots: list[Value] = []  # empty: the dot is the root
        self.variables = {name: root[field] for name, field in _VARIABLES.items()}


_Expression = Callable[["_Scope"], Value]
_Node = Callable[[_Scope], str]


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    text: str
    nodes: tuple[_Node, ...]

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
        return _run(self.nodes, _Scope(root, query))

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
    parser = _Parser(text)
    nodes, end = parser.block()
    if end is not None:
        raise TemplateError(f"unexpected {{{{ {end} }}}}")
    return Template(text, tuple(nodes))


def _run(nodes: tuple[_Node, ...] | list[_Node], scope: _Scope) -> str:
    return "".join(node(scope) for node in nodes)


class _Parser:
    """Text and actions in turn; blocks nest by recursion."""

    def __init__(self, text: str) -> None:
        self._pieces = _pieces(text)
        self._names = {name: name for name in _VARIABLES}  # where the value of each visible variable is kept
        self._declared = 0
        self._inner = 0  # how many `with` and `range` are open: within, the dot's fields are not known

    def block(self) -> tuple[list[_Node], str | None]:
        """Nodes up to `end` or `else`, and that action; None at the end of the text."""
        nodes: list[_Node] = []
        for is_action, piece in self._pieces:
            if not is_action:
                nodes.append(_literal(piece))
                continue
            keyword = piece.split(maxsplit=1)[0] if piece else ""
            if keyword in ("end", "else"):
                return nodes, piece
            nodes.append(self._action(keyword, piece))
        return nodes, None

    def _action(self, keyword: str, code: str) -> _Node:
        if keyword in _LATER:
            raise TemplateError(f"{keyword} is not supported")
        if keyword in _BLOCKS:
            return self._branch(keyword, code[len(keyword) :])
        names, expression = self._statement(code)
        if not names:
            return lambda scope: go_text(expression(scope))

        def assign(scope: _Scope) -> str:
            scope.variables[names[0]] = expression(scope)
            return ""

        return assign

    def _branch(self, keyword: str, code: str) -> _Node:
        outer = dict(self._names)
        names, condition = self._statement(code, most=2 if keyword == "range" else 1)
        with_names = dict(self._names)
        self._inner += keyword != "if"
        then, end = self.block()
        self._inner -= keyword != "if"
        self._names = with_names
        otherwise, end = self._otherwise(keyword, end)
        self._names = outer
        if end != "end":
            raise TemplateError(f"{{{{ {keyword} }}}} without {{{{ end }}}}")
        make = _range_node if keyword == "range" else _branch_node
        return make(names, condition, keyword == "with", then, otherwise)

    def _otherwise(self, keyword: str, end: str | None) -> tuple[list[_Node], str | None]:
        """What follows `else`, and the action that ends it."""
        if end is None or not end.startswith("else"):
            return [], end
        rest = end[len("else") :].strip()
        if not rest:
            return self.block()
        following = rest.split(maxsplit=1)[0]
        if following not in ("if", "with") or keyword == "range":
            raise TemplateError(f"unexpected {{{{ {end} }}}}")
        return [self._branch(following, rest[len(following) :])], "end"

    def _statement(self, code: str, most: int = 1) -> tuple[list[str], _Expression]:
        """`$x := pipeline`, `$x = pipeline` or a pipeline alone; with `most` 2 also `$i, $e := pipeline`.

        The names are places of variables, not what they are called.
        """
        tokens = _tokens(code)
        if not tokens:
            raise TemplateError("an empty action")
        names, assigned, tokens = _targets(tokens, most)
        expression, rest = _Pipeline(self._names, self._inner == 0).parse(tokens)
        if rest:
            raise TemplateError(f"unexpected {rest[0][1]!r} in {{{{ {code.strip()} }}}}")
        return [self._place(name, declared=assigned == ":=") for name in names], expression

    def _place(self, name: str, declared: bool) -> str:
        """Where the value of a variable is kept: an inner one of the same name leaves the outer as it is."""
        if declared:
            self._declared += 1
            self._names[name] = f"{name}#{self._declared}"
        elif name not in self._names:
            raise TemplateError(f"undefined variable {name}")
        return self._names[name]


_Tokens = list[tuple[str, str]]


def _targets(tokens: _Tokens, most: int) -> tuple[list[str], str, _Tokens]:
    """The variables at the front, `:=` or `=`, and the tokens after it; none where nothing is assigned."""
    kinds = [kind for kind, _ in tokens[:4]]
    texts = [text for _, text in tokens[:4]]
    if kinds[:1] == ["variable"] and texts[1:2] in ([":="], ["="]):
        return texts[:1], texts[1], tokens[2:]
    if most > 1 and kinds[::2] == ["variable", "variable"] and texts[1] == "," and texts[3] in (":=", "="):
        return texts[::2], texts[3], tokens[4:]
    return [], "", tokens


class _Pipeline:
    """`operand`, `function argument ...`, and pipes between them."""

    def __init__(self, names: Mapping[str, str], at_root: bool) -> None:
        self._names = names
        self._at_root = at_root

    def parse(self, tokens: _Tokens) -> tuple[_Expression, _Tokens]:
        """The expression at the front of `tokens`, and what follows it."""
        expression, tokens = self._command(tokens, None)
        while tokens and tokens[0][1] == "|" and tokens[0][0] == "mark":
            expression, tokens = self._command(tokens[1:], expression)
        return expression, tokens

    def _command(self, tokens: _Tokens, piped: _Expression | None) -> tuple[_Expression, _Tokens]:
        if not tokens:
            raise TemplateError("missing value for command")
        kind, text = tokens[0]
        if kind == "word" and text not in _CONSTANTS:
            return self._call(text, tokens[1:], piped)
        if piped is not None:
            raise TemplateError(f"{text} cannot take a piped value: it is no function")
        return self._operand(tokens)

    def _call(self, name: str, tokens: _Tokens, piped: _Expression | None) -> tuple[_Expression, _Tokens]:
        function = FUNCTIONS.get(name) or _SCOPED.get(name)
        if function is None:
            raise TemplateError(f"function {name!r} is not supported")
        arguments: list[_Expression] = []
        while tokens and tokens[0][1] not in ("|", ")"):
            argument, tokens = self._operand(tokens)
            arguments.append(argument)
        if piped is not None:
            arguments.append(piped)
        if not function.least <= len(arguments) <= function.most:
            raise TemplateError(f"{name} takes {function.least} arguments, not {len(arguments)}")
        call = function.call
        if name in _SCOPED:
            return lambda scope: call(scope, *arguments), tokens
        return lambda scope: call(*[argument(scope) for argument in arguments]), tokens

    def _operand(self, tokens: _Tokens) -> tuple[_Expression, _Tokens]:
        (kind, text), rest = tokens[0], tokens[1:]
        if kind == "string":
            return _constant(_unquote(text)), rest
        if kind == "number":
            return _constant(float(text) if set(text) & set(".eE") else int(text)), rest
        if kind == "word" and text in _CONSTANTS:
            return _constant(_CONSTANTS[text]), rest
        if kind == "word":
            return self._call(text, [], None)[0], rest
        if kind == "mark" and text == "(":
            expression, rest = self.parse(rest)
            if not rest or rest[0][1] != ")":
                raise TemplateError("unclosed parenthesis")
            return expression, rest[1:]
        if kind in ("variable", "field", "own", "dot"):
            return self._reference(tokens)
        raise TemplateError(f"unexpected {text!r}")

    def _reference(self, tokens: _Tokens) -> tuple[_Expression, _Tokens]:
        """`$name.field...`, `.field...` or the dot."""
        kind, text = tokens[0]
        path: list[str] = [text[1:]] if kind in ("field", "own") else []
        rest = tokens[1:]
        while kind != "dot" and rest and rest[0][0] == "field":
            path.append(rest[0][1][1:])
            rest = rest[1:]
        if kind == "variable" and text != "$":
            if text not in self._names:
                raise TemplateError(f"undefined variable {text}")
            place = self._names[text]
            return _walk(lambda scope: scope.variables[place], path), rest
        if text == "$" or self._at_root:
            return self._root(path), rest
        return _walk(lambda scope: scope.dots[-1], path), rest

    def _root(self, path: list[str]) -> _Expression:
        if not path or path[0] not in _VARIABLES.values():
            raise TemplateError(f"unknown field .{'.'.join(path)}")
        return _walk(lambda scope: scope.root[path[0]], path[1:])


def _query(scope: _Scope, argument: _Expression) -> Value:
    if scope.query is None:
        raise TemplateValueError("there is nothing to query here")
    return scope.query(a_string(argument(scope)))


def _and(scope: _Scope, *arguments: _Expression) -> Value:
    """The first empty value, else the last; what comes after is not evaluated."""
    value: Value = None
    for argument in arguments:
        value = argument(scope)
        if not value:
            break
    return value


def _or(scope: _Scope, *arguments: _Expression) -> Value:
    """The first value that is not empty, else the last; what comes after is not evaluated."""
    value: Value = None
    for argument in arguments:
        value = argument(scope)
        if value:
            break
    return value


_SCOPED: Mapping[str, Function] = {
    "query": Function(_query, 1, 1),
    "and": Function(_and, 1, 99),
    "or": Function(_or, 1, 99),
    "externalURL": Function(lambda scope: scope.root["ExternalURL"], 0, 0),
    "pathPrefix": Function(lambda scope: urlsplit(str(scope.root["ExternalURL"])).path, 0, 0),
}
"""Functions that are given the scope, and their arguments not yet evaluated."""


def _branch_node(
    names: list[str], condition: _Expression, is_with: bool, then: list[_Node], otherwise: list[_Node]
) -> _Node:
    def branch(scope: _Scope) -> str:
        value = condition(scope)
        for name in names:
            scope.variables[name] = value
        if not value:
            return _run(otherwise, scope)
        return _within(scope, value, then) if is_with else _run(then, scope)

    return branch


def _range_node(
    names: list[str], source: _Expression, _: bool, body: list[_Node], otherwise: list[_Node]
) -> _Node:
    def loop(scope: _Scope) -> str:
        entries = _entries(source(scope))
        text = ""
        for entry in entries:
            # With one variable it is the value, with two the index or key comes first.
            scope.variables.update(zip(names, entry[-len(names) :], strict=True) if names else ())
            text += _within(scope, entry[1], body)
        return text if entries else _run(otherwise, scope)

    return loop


def _entries(value: Value) -> list[tuple[Value, Value]]:
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list):
        return list(enumerate(value))
    if value is None:
        return []
    raise TemplateValueError(f"range cannot iterate over {go_text(value)}")


def _within(scope: _Scope, dot: Value, nodes: list[_Node]) -> str:
    scope.dots.append(dot)
    try:
        return _run(nodes, scope)
    finally:
        scope.dots.pop()


def _walk(start: _Expression, path: list[str]) -> _Expression:
    def walk(scope: _Scope) -> Value:
        value = start(scope)
        for field in path:
            if isinstance(value, QueriedSample) and field in ("Labels", "Value"):
                value = value.labels if field == "Labels" else value.value
            elif isinstance(value, Mapping):
                value = value.get(field, "")
            else:
                raise TemplateValueError(f"no field {field} in {go_text(value)}")
        return value

    return walk


def _literal(text: str) -> _Node:
    return lambda _: text


def _constant(value: Value) -> _Expression:
    return lambda _: value


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """(False, literal text) and (True, code of an action), trimmed as the `-` markers ask."""
    position, trim = 0, False
    while True:
        opened = text.find("{{", position)
        literal = text[position : opened if opened >= 0 else len(text)]
        literal = literal.lstrip() if trim else literal
        if opened < 0:
            yield False, literal
            return
        found = _ACTION.match(text, opened)
        if found is None:
            raise TemplateError(f"unclosed action at {text[opened : opened + 30]!r}")
        yield False, literal.rstrip() if found["left"] else literal
        code = found["code"].strip()
        if not (code.startswith("/*") and code.endswith("*/")):
            yield True, code
        position, trim = found.end(), bool(found["right"])


def _tokens(code: str) -> _Tokens:
    tokens: _Tokens = []
    position, end = 0, len(code.rstrip())
    while position < end:
        found = _TOKEN.match(code, position)
        if found is None:
            raise TemplateError(f"unexpected {code[position:].strip()[:20]!r}")
        kind = str(found.lastgroup)
        if kind == "field" and code[found.start(kind) - 1 : found.start(kind)].strip() == "" and tokens:
            kind = "own"  # a gap before the dot: a field of the dot, not of what stands before
        tokens.append((kind, found[str(found.lastgroup)]))
        position = found.end()
    return tokens


def _unquote(text: str) -> str:
    try:
        return go_unquote(text)
    except ValueError as error:
        raise TemplateError(str(error)) from error
