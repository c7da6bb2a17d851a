"""All templates of a configuration: those of its files above those that everybody has."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alertmanager.template.defaults import DEFAULTS
from alertmanager.template.functions import NOTIFICATION_FUNCTIONS, RESULTS, SCOPED_FUNCTIONS
from alertmanager.template.html_printer import HTMLPrinter
from alertmanager.template.printers import ESCAPES, Escaping, URLPrinter
from alertmanager.template.values import DATA, Data, elements, member
from wire.template_language import ANY, Kind, Language, Node, Printer, Scope, run
from wire.template_parser import Parser
from wire.template_tokens import TemplateError, pieces, tokens, unquote

Render = Callable[[Data], str]
"""A template ready to be filled in. Raises TemplateValueError where a function cannot work on its value."""

_PRINTERS: Mapping[str, Callable[[], Printer]] = {"html": HTMLPrinter, "url": URLPrinter}
_BLOCKS = ("if", "with", "range", "block", "define")
_OWN = "Fleetowl's own templates"


@dataclass(frozen=True, slots=True)
class Definition:
    """`{{ define "name" }} ... {{ end }}` in a file."""

    name: str
    file: str
    pieces: Sequence[tuple[bool, str]]


@dataclass(slots=True)
class _Compiled:
    """A definition for one kind of dot at one place of one markup."""

    nodes: list[Node] = field(default_factory=list)
    ends_at: Any = None
    done: bool = False

    def render(self, root: Any, given: Any) -> str:
        return run(self.nodes, Scope(root, {}, given))


class Library:
    """Definitions by name, compiled at need: once for each kind of dot, markup and place in it."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition] = {}
        self._compiled: dict[tuple[str, str, str, Any], _Compiled] = {}
        self.add(DEFAULTS, _OWN)

    def add(self, text: str, file: str) -> list[Definition]:
        """Take in a file. Raises TemplateError that names what is not understood."""
        found = list(_definitions(text, file))
        self._definitions.update((definition.name, definition) for definition in found)
        self._compiled.clear()
        return found

    @property
    def names(self) -> list[str]:
        """The names of all templates."""
        return sorted(self._definitions)

    def check(self, definition: Definition) -> None:
        """Raises TemplateError if the template can be used nowhere, whatever its dot is."""
        self._find(definition.name, ANY, Escaping(str), "text")

    def compile(self, text: str, markup: str = "text") -> Render:
        """A field of the configuration. Raises TemplateError that names what is not understood.

        `markup` is `html`, `url`, or one of the names of ESCAPES: how values are made inert in the channel.
        """
        if "{{" not in text:
            return lambda _: text
        printer = _PRINTERS[markup]() if markup in _PRINTERS else Escaping(ESCAPES[markup])
        nodes = _parsed(pieces(text), self._language(markup), DATA, printer)
        return lambda data: run(nodes, Scope(data, {}, data.now))

    def _language(self, markup: str) -> Language:
        def templates(name: str, kind: Kind, printer: Printer) -> Callable[[Any, Any], str]:
            return self._find(name, kind, printer, markup).render

        return Language(
            functions=NOTIFICATION_FUNCTIONS,
            scoped=SCOPED_FUNCTIONS,
            root=DATA,
            results=RESULTS,
            member=member,
            element=elements,
            templates=templates,
            dots_known=True,
        )

    def _find(self, name: str, kind: Kind, printer: Printer, markup: str) -> _Compiled:
        key = name, kind.name, markup, printer.state
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = _Compiled()
            try:
                self._compile(name, kind, printer, markup, compiled)
            except TemplateError:
                del self._compiled[key]
                raise
        elif not compiled.done:
            raise TemplateError(f"template {name!r} calls itself")
        printer.state = compiled.ends_at
        return compiled

    def _compile(self, name: str, kind: Kind, printer: Printer, markup: str, made: _Compiled) -> None:
        definition = self._definitions.get(name)
        if definition is None:
            raise TemplateError(f"template {name!r} is not defined in any of the files of `templates`")
        try:
            made.nodes = _parsed(definition.pieces, self._language(markup), kind, printer)
        except TemplateError as error:
            if str(error).startswith("template "):
                raise
            raise TemplateError(f"template {name!r} in {definition.file}: {error}") from error
        made.ends_at, made.done = printer.state, True


def _parsed(
    parts: Iterable[tuple[bool, str]], language: Language, kind: Kind, printer: Printer
) -> list[Node]:
    nodes, end = Parser(parts, language, kind, printer).block()
    if end is not None:
        raise TemplateError(f"unexpected {{{{ {end} }}}}")
    return nodes


def _definitions(text: str, file: str) -> Iterator[Definition]:
    """The definitions of a file; what stands between them is nobody's. Raises TemplateError."""
    inside: list[tuple[bool, str]] = []
    name, depth = "", 0
    for is_action, piece in pieces(text):
        keyword = piece.split(maxsplit=1)[0] if is_action and piece else ""
        depth += keyword in _BLOCKS
        depth -= keyword == "end"
        if keyword == "define" and depth == 1:
            name, inside = _name(piece), []
        elif keyword == "define":
            raise TemplateError(f"{{{{ {piece} }}}} inside of another block is not supported")
        elif keyword == "end" and depth == 0 and name:
            yield Definition(name, file, inside)
            name = ""
        elif name:
            inside.append((is_action, piece))
        elif is_action:
            raise TemplateError(f"{{{{ {piece} }}}} outside of any define is not supported")
    if depth:
        what = f'define "{name}"' if name else "a block"
        raise TemplateError(f"{{{{ {what} }}}} without {{{{ end }}}}")


def _name(piece: str) -> str:
    parts = tokens(piece)
    if len(parts) != 2 or parts[1][0] != "string":
        raise TemplateError(f"define wants a name between quotes: {{{{ {piece} }}}}")
    return unquote(parts[1][1])


def template_files(patterns: Iterable[str]) -> Mapping[str, list[Path]]:
    """The files of each glob, in order; a glob without files is none, as in Alertmanager."""
    return {pattern: [Path(name) for name in sorted(glob.glob(pattern))] for pattern in patterns}


def load_library(patterns: Iterable[str]) -> tuple[Library, list[tuple[str, str]]]:
    """The templates of these files, and what is wrong with them: (file, why)."""
    library, wrong = Library(), list[tuple[str, str]]()
    found: list[Definition] = []
    for files in template_files(patterns).values():
        for file in files:
            try:
                found += library.add(file.read_text(), str(file))
            except TemplateError as error:
                wrong.append((str(file), str(error)))
            except (OSError, UnicodeError) as error:
                wrong.append((str(file), f"cannot be read: {error}"))
    for definition in found:
        try:
            library.check(definition)
        except TemplateError as error:
            wrong.append((definition.file, str(error)))
    return library, wrong
