"""What a template is made of: literal text and actions, and the tokens of an action."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wire.gotext import go_unquote


class TemplateError(ValueError):
    """The template does not compile; the message names what is not understood."""


Tokens = list[tuple[str, str]]
"""Kind and text of each token."""

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


def pieces(text: str) -> Iterator[tuple[bool, str]]:
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


def tokens(code: str) -> Tokens:
    """The tokens of an action. Raises TemplateError where there is none that is known."""
    found_tokens: Tokens = []
    position, end = 0, len(code.rstrip())
    while position < end:
        found = _TOKEN.match(code, position)
        if found is None:
            raise TemplateError(f"unexpected {code[position:].strip()[:20]!r}")
        kind = str(found.lastgroup)
        if kind == "field" and code[found.start(kind) - 1 : found.start(kind)].strip() == "" and found_tokens:
            kind = "own"  # a gap before the dot: a field of the dot, not of what stands before
        found_tokens.append((kind, found[str(found.lastgroup)]))
        position = found.end()
    return found_tokens


def unquote(text: str) -> str:
    """What a string literal says. Raises TemplateError for an escape that Go does not know."""
    try:
        return go_unquote(text)
    except ValueError as error:
        raise TemplateError(str(error)) from error
