"""Text in double quotes as Go writes it, which is how Alertmanager reads names and values."""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"""[^"\\\n]+ | \\(?: (?P<plain>[abfnrtv\\"]) | x(?P<byte>[0-9a-fA-F]{2}) | (?P<octal>[0-7]{3})
        | u(?P<short>[0-9a-fA-F]{4}) | U(?P<long>[0-9a-fA-F]{8}) )""",
    re.VERBOSE,
)
_PLAIN = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
}
_NAMES = {character: f"\\{name}" for name, character in _PLAIN.items()}


class Unquotable(ValueError):
    """An escape that Go does not know, a raw line feed, or bytes that are no UTF-8."""


def unquote(quoted: str) -> str:
    r"""The text inside; `quoted` has its two quotes. Raises Unquotable.

    >>> unquote('"\\u2713 \\x41\\n"')
    '✓ A\n'
    """
    inner, position, parts = quoted[1:-1], 0, []
    while position < len(inner):
        found = _PIECE.match(inner, position)
        if found is None:
            raise Unquotable(quoted)
        parts.append(_bytes_of(found, quoted))
        position = found.end()
    try:
        return b"".join(parts).decode()
    except UnicodeDecodeError as error:
        raise Unquotable(quoted) from error


def _bytes_of(found: re.Match[str], quoted: str) -> bytes:
    if found["plain"]:
        return _PLAIN[found["plain"]].encode()
    if found["byte"] or found["octal"]:
        value = int(found["byte"], 16) if found["byte"] else int(found["octal"], 8)
        if value > 0xFF:
            raise Unquotable(quoted)
        return bytes([value])
    if found["short"] or found["long"]:
        code = int(found["short"] or found["long"], 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise Unquotable(quoted)
        return chr(code).encode()
    return found[0].encode(errors="surrogatepass")


def quote(text: str) -> str:
    r"""Text between quotes, as Go's strconv.Quote writes it.

    >>> quote('say "hi"\n')
    '"say \\"hi\\"\\n"'
    """
    return '"' + "".join(_NAMES.get(character) or _spelled(character) for character in text) + '"'


def _spelled(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
