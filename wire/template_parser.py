"""From the text of a template to nodes that print it, for any dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wire.template_language import (
    ANY,
    Expression,
    Kind,
    Language,
    Node,
    Printer,
    Scope,
    Term,
    run,
    within,
)
from wire.template_tokens import TemplateError, Tokens, tokens, unquote

CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "nil": None}
_BLOCKS = ("if", "with", "range")
_LATER = frozenset({"define", "template", "block", "break", "continue"})


class Parser:
    """Text and actions in turn; blocks nest by recursion."""

    def __init__(
        self,
        pieces: Iterable[tuple[bool, str]],
        language: Language,
        root: Kind | None = None,
        printer: Printer | None = None,
    ) -> None:
        self._pieces = iter(pieces)
        self._language = language
        self._printer = printer or language.printer()
        self._names = {name: (name, ANY) for name in language.variables}  # place and kind of what is visible
        self._declared = 0
        self._root = root or language.root
        self._dots: list[Kind] = []

    def block(self) -> tuple[list[Node], str | None]:
        """Nodes up to `end` or `else`, and that action; None at the end of the text."""
        nodes: list[Node] = []
        for is_action, piece in self._pieces:
            if not is_action:
                nodes.append(_literal(self._printer.literal(piece)))
                continue
            keyword = piece.split(maxsplit=1)[0] if piece else ""
            if keyword in ("end", "else"):
                return nodes, piece
            nodes.append(self._action(keyword, piece))
        return nodes, None

    def _action(self, keyword: str, code: str) -> Node:
        if keyword == "template" and self._language.templates is not None:
            return self._template(code[len(keyword) :])
        if keyword in _LATER:
            raise TemplateError(f"{keyword} is not supported")
        if keyword in _BLOCKS:
            return self._branch(keyword, code[len(keyword) :])
        names, term = self._statement(code)
        if not names:
            text, value = self._printer.value(), term.run
            return lambda scope: text(value(scope))

        def assign(scope: Scope) -> str:
            scope.variables[names[0]] = term.run(scope)
            return ""

        return assign

    def _template(self, code: str) -> Node:
        """`template "name" pipeline`: another template, with the pipeline's value as its root."""
        parts = tokens(code)
        if not parts or parts[0][0] != "string":
            raise TemplateError(f"template wants a name between quotes: {{{{ template {code.strip()} }}}}")
        term = Term(lambda _: None)
        if parts[1:]:
            term, rest = self._pipeline().parse(parts[1:])
            if rest:
                raise TemplateError(f"unexpected {rest[0][1]!r} in {{{{ template {code.strip()} }}}}")
        assert self._language.templates is not None
        other = self._language.templates(unquote(parts[0][1]), term.kind, self._printer)
        return lambda scope: other(term.run(scope), scope.given)

    def _branch(self, keyword: str, code: str) -> Node:
        outer, began = dict(self._names), self._printer.state
        names, condition = self._statement(
            code, most=2 if keyword == "range" else 1, ranged=keyword == "range"
        )
        with_names = dict(self._names)
        if keyword != "if":
            kind = condition.kind if keyword == "with" else _element(condition.kind)
            self._dots.append(kind if self._language.dots_known else ANY)
        then, end = self.block()
        if keyword != "if":
            self._dots.pop()
        self._names = with_names
        ended, self._printer.state = self._printer.state, began
        otherwise, end = self._otherwise(keyword, end)
        self._names = outer
        if end != "end":
            raise TemplateError(f"{{{{ {keyword} }}}} without {{{{ end }}}}")
        self._printer.state = self._printer.join(ended, self._printer.state, keyword)
        if keyword == "range":
            return _range_node(names, condition.run, self._language.element, then, otherwise)
        return _branch_node(names, condition.run, keyword == "with", then, otherwise)

    def _otherwise(self, keyword: str, end: str | None) -> tuple[list[Node], str | None]:
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

    def _statement(self, code: str, most: int = 1, *, ranged: bool = False) -> tuple[list[str], Term]:
        """`$x := pipeline`, `$x = pipeline` or a pipeline alone; with `most` 2 also `$i, $e := pipeline`.

        The names are places of variables, not what they are called.
        """
        parts = tokens(code)
        if not parts:
            raise TemplateError("an empty action")
        names, assigned, parts = _targets(parts, most)
        term, rest = self._pipeline().parse(parts)
        if rest:
            raise TemplateError(f"unexpected {rest[0][1]!r} in {{{{ {code.strip()} }}}}")
        kinds = [ANY, _element(term.kind)][-len(names) :] if ranged else [term.kind]
        places = [
            self._place(name, kind, declared=assigned == ":=")
            for name, kind in zip(names, kinds, strict=False)
        ]
        return places, term

    def _pipeline(self) -> _Pipeline:
        dot = self._dots[-1] if self._dots else self._root
        return _Pipeline(self._language, self._names, dot, self._root)

    def _place(self, name: str, kind: Kind, *, declared: bool) -> str:
        """Where the value of a variable is kept: an inner one of the same name leaves the outer as it is."""
        if declared:
            self._declared += 1
            known = kind if self._language.dots_known else ANY
            self._names[name] = f"{name}#{self._declared}", known
        elif name not in self._names:
            raise TemplateError(f"undefined variable {name}")
        elif self._names[name][1] is not kind:
            self._names[name] = self._names[name][0], ANY
        return self._names[name][0]


def _element(kind: Kind) -> Kind:
    return kind.element or kind.other or ANY


def _targets(parts: Tokens, most: int) -> tuple[list[str], str, Tokens]:
    """The variables at the front, `:=` or `=`, and the tokens after it; none where nothing is assigned."""
    kinds = [kind for kind, _ in parts[:4]]
    texts = [text for _, text in parts[:4]]
    if kinds[:1] == ["variable"] and texts[1:2] in ([":="], ["="]):
        return texts[:1], texts[1], parts[2:]
    if most > 1 and kinds[::2] == ["variable", "variable"] and texts[1] == "," and texts[3] in (":=", "="):
        return texts[::2], texts[3], parts[4:]
    return [], "", parts


class _Pipeline:
    """`operand`, `function argument ...`, and pipes between them."""

    def __init__(
        self, language: Language, names: Mapping[str, tuple[str, Kind]], dot: Kind, root: Kind
    ) -> None:
        self._language = language
        self._names = names
        self._dot = dot
        self._root = root

    def parse(self, parts: Tokens) -> tuple[Term, Tokens]:
        """The expression at the front of the tokens, and what follows it."""
        term, parts = self._command(parts, None)
        while parts and parts[0] == ("mark", "|"):
            term, parts = self._command(parts[1:], term)
        return term, parts

    def _command(self, parts: Tokens, piped: Term | None) -> tuple[Term, Tokens]:
        if not parts:
            raise TemplateError("missing value for command")
        kind, text = parts[0]
        if kind == "word" and text not in CONSTANTS:
            return self._call(text, parts[1:], piped)
        if piped is not None:
            raise TemplateError(f"{text} cannot take a piped value: it is no function")
        return self._operand(parts, methods=self._language.dots_known)

    def _call(self, name: str, parts: Tokens, piped: Term | None) -> tuple[Term, Tokens]:
        scoped = name in self._language.scoped
        function = self._language.functions.get(name) or self._language.scoped.get(name)
        if function is None:
            raise TemplateError(f"function {name!r} is not supported")
        arguments, parts = self._arguments(parts)
        if piped is not None:
            arguments.append(piped)
        if not function.least <= len(arguments) <= function.most:
            raise TemplateError(f"{name} takes {function.least} arguments, not {len(arguments)}")
        kind = self._language.result(name, [argument.kind for argument in arguments])
        call, runs = function.call, [argument.run for argument in arguments]
        if scoped:
            return Term(lambda scope: call(scope, *runs), kind), parts
        return Term(lambda scope: call(*[each(scope) for each in runs]), kind), parts

    def _arguments(self, parts: Tokens) -> tuple[list[Term], Tokens]:
        arguments: list[Term] = []
        while parts and parts[0][1] not in ("|", ")"):
            argument, parts = self._operand(parts)
            arguments.append(argument)
        return arguments, parts

    def _operand(self, parts: Tokens, *, methods: bool = False) -> tuple[Term, Tokens]:
        (kind, text), rest = parts[0], parts[1:]
        if kind == "string":
            return _constant(unquote(text)), rest
        if kind == "number":
            return _constant(float(text) if set(text) & set(".eE") else int(text)), rest
        if kind == "word" and text in CONSTANTS:
            return _constant(CONSTANTS[text]), rest
        if kind == "word":
            return self._call(text, [], None)[0], rest
        if kind == "mark" and text == "(":
            term, rest = self.parse(rest)
            if not rest or rest[0][1] != ")":
                raise TemplateError("unclosed parenthesis")
            return self._chain(term, [], rest[1:], methods=methods)
        if kind in ("variable", "field", "own", "dot"):
            return self._reference(parts, methods=methods)
        raise TemplateError(f"unexpected {text!r}")

    def _reference(self, parts: Tokens, *, methods: bool) -> tuple[Term, Tokens]:
        """`$name.field...`, `.field...` or the dot."""
        kind, text = parts[0]
        path = [text[1:]] if kind in ("field", "own") else []
        if kind == "variable" and text != "$":
            if text not in self._names:
                raise TemplateError(f"undefined variable {text}")
            place, known = self._names[text]
            return self._chain(
                Term(lambda scope: scope.variables[place], known), [], parts[1:], methods=methods
            )
        start = Term(lambda scope: scope.dot, self._dot)
        if kind == "variable":
            start = Term(lambda scope: scope.root, self._root)
        bare = kind == "dot" or (kind == "variable" and not (parts[1:] and parts[1][0] == "field"))
        if bare and not self._language.dots_known and start.kind is self._root:
            raise TemplateError("unknown field .: the data has no value of its own")
        if kind == "dot":
            return start, parts[1:]
        return self._chain(start, path, parts[1:], methods=methods)

    def _chain(self, start: Term, path: list[str], parts: Tokens, *, methods: bool) -> tuple[Term, Tokens]:
        """The fields after a value; what follows the last one are the arguments of a method."""
        while parts and parts[0][0] == "field":
            path.append(parts[0][1][1:])
            parts = parts[1:]
        if not path:
            return start, parts
        term = start
        for name in path[:-1]:
            term = self._member(term, name, [])
        arguments, parts = self._arguments(parts) if methods else ([], parts)
        return self._member(term, path[-1], arguments), parts

    def _member(self, term: Term, name: str, arguments: list[Term]) -> Term:
        member, value = self._language.member, term.run
        kind = term.kind.member(name, len(arguments))
        runs = [argument.run for argument in arguments]
        return Term(lambda scope: member(value(scope), name, [each(scope) for each in runs]), kind)


def _branch_node(
    names: list[str], condition: Expression, is_with: bool, then: list[Node], otherwise: list[Node]
) -> Node:
    def branch(scope: Scope) -> str:
        value = condition(scope)
        for name in names:
            scope.variables[name] = value
        if not value:
            return run(otherwise, scope)
        return within(scope, value, then) if is_with else run(then, scope)

    return branch


def _range_node(
    names: list[str],
    source: Expression,
    elements: Callable[[Any], Any],
    body: list[Node],
    otherwise: list[Node],
) -> Node:
    def loop(scope: Scope) -> str:
        found = elements(source(scope))
        text = ""
        for entry in found:
            # With one variable it is the value, with two the index or key comes first.
            scope.variables.update(zip(names, entry[-len(names) :], strict=True) if names else ())
            text += within(scope, entry[1], body)
        return text if found else run(otherwise, scope)

    return loop


def _literal(text: str) -> Node:
    return lambda _: text


def _constant(value: Any) -> Term:
    return Term(lambda _: value)
