"""The classic syntax of matchers (before Alertmanager 0.27): plain names, lenient values."""

from __future__ import annotations

import re

from model.matcher import Op

# Go's \s is narrower than Python's.
_SPACE = r"[\t\n\f\r ]*"
_ONE = re.compile(
    rf"{_SPACE}(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*){_SPACE}(?P<op>=~|=|!=|!~){_SPACE}(?P<value>(?s:.*?)){_SPACE}"
)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class ClassicWrong(ValueError):
    """What cannot be read, in Alertmanager's words."""


def read_classic_matchers(text: str) -> list[tuple[str, Op, str]]:
    """Name, operator and value of each matcher; a leading and a closing brace are both optional.

    Raises ClassicWrong.
    """
    inner = text.removeprefix("{").removesuffix("}")
    try:
        return [read_classic_matcher(piece) for piece in _pieces(inner)]
    except ClassicWrong as error:
        if text.count("{") != text.count("}"):
            raise ClassicWrong(f"{error} (one brace of {text} is missing)") from error
        raise


def read_classic_matcher(text: str) -> tuple[str, Op, str]:
    """Name, operator and value of one matcher. Raises ClassicWrong."""
    found = _ONE.fullmatch(text)
    if found is None:
        raise ClassicWrong(f"bad matcher format: {text}")
    return found["name"], Op(found["op"]), _value(found["value"])


def _pieces(text: str) -> list[str]:
    """The parts between commas that are not in quotes; nothing after the last comma is no part."""
    pieces, quoted, escaped, begin = [], False, False, 0
    for position, character in enumerate(text):
        if character == "," and not quoted:
            pieces.append(text[begin:position])
            begin = position + 1
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
    last = text[begin:].strip()
    return [*pieces, last] if last else pieces


def _value(raw: str) -> str:
    """The value without its quotes; an escape that is none stays as it is written."""
    open_quote = raw.startswith('"')
    inner, parts, position = raw.removeprefix('"'), [], 0
    while position < len(inner):
        character = inner[position]
        if character == "\\" and position + 1 < len(inner):
            follower = inner[position + 1]
            parts.append(_ESCAPES.get(follower, f"\\{follower}"))
            position += 2
            continue
        if character == '"':
            if not open_quote or position + 1 < len(inner):
                raise ClassicWrong(f"matcher value contains unescaped double quote: {raw}")
            open_quote = False
        else:
            parts.append(character)
        position += 1
    if open_quote:
        raise ClassicWrong(f"matcher value contains unescaped double quote: {raw}")
    return "".join(parts)
