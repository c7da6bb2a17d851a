"""The UTF-8 syntax of matchers (Alertmanager 0.27 and later): names and values may be any text in quotes.

    matchers := [ "{" ] [ matcher { "," matcher } [ "," ] ] [ "}" ]      both braces or none
    matcher  := text operator text
    text     := quoted as in Go, or bare without spaces and without {}!=~,\\"'`

Errors carry Alertmanager's words and its columns, counted in characters: `0:5: ...`.
"""

from __future__ import annotations

from dataclasses import dataclass

from alertmanager.quoting import Unquotable, unquote
from model.matcher import Op

SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
"""What Go's unicode.IsSpace takes; Python's str.isspace takes a few control characters more."""

RESERVED = SPACES | frozenset("{}!=~,\\\"'`")
"""What a bare name or value cannot hold."""

_END = "end of input"
_MARKS = {"{": "open", "}": "close", ",": "comma"}
_OPERATORS = frozenset(op.value for op in Op)


class SyntaxWrong(ValueError):
    """What cannot be read, in Alertmanager's words."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the input: `text` as written, between two columns. The kind "" is the end of the input."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def place(self) -> str:
        """The columns as errors show them."""
        return f"{self.start}:{self.end}"


def read_matchers(text: str) -> list[tuple[str, Op, str]]:
    """Name, operator and value of each matcher. Raises SyntaxWrong."""
    return _Reading(text).matchers()


class _Tokens:
    """The tokens of the input, one look ahead. A wrong character is an error when it is its turn."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ahead: Token | None = None
        self.at = 0

    def peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._scan()
        return self._ahead

    def take(self) -> Token:
        token = self.peek()
        self._ahead, self.at = None, token.end
        return token

    def _scan(self) -> Token:
        text, start = self._text, self.at
        while start < len(text) and text[start] in SPACES:
            start += 1
        if start == len(text):
            return Token("", "", start, start)
        first = text[start]
        if first in _MARKS:
            return Token(_MARKS[first], first, start, start + 1)
        if first in "=!":
            return self._operator(start)
        if first == '"':
            return self._quoted(start)
        if first in RESERVED:
            raise SyntaxWrong(f"{start}:{start + 1}: {first}: invalid input")
        end = start
        while end < len(text) and text[end] not in RESERVED:
            end += 1
        return Token("bare", text[start:end], start, end)

    def _operator(self, start: int) -> Token:
        for length in (2, 1):
            written = self._text[start : start + length]
            if written in _OPERATORS:
                return Token("operator", written, start, start + len(written))
        if start + 1 == len(self._text):
            raise SyntaxWrong(f"{start}:{start + 1}: unexpected {_END}, expected one of '=~'")
        raise SyntaxWrong(f"{start}:{start + 1}: !: expected one of '=~'")

    def _quoted(self, start: int) -> Token:
        text, end = self._text, start + 1
        while end < len(text) and text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        end = min(end, len(text))
        if end == len(text):
            raise SyntaxWrong(f'{start}:{end}: {text[start:end]}: missing end "')
        return Token("quoted", text[start : end + 1], start, end + 1)


class _Reading:
    """One reading of one input."""

    def __init__(self, text: str) -> None:
        self._tokens = _Tokens(text)

    def matchers(self) -> list[tuple[str, Op, str]]:
        tokens, found = self._tokens, []
        braced = tokens.peek().kind == "open"
        if braced:
            tokens.take()
        more = tokens.peek().kind not in ("", "close")
        while more:
            found.append(self._matcher())
            more = self._goes_on()
        self._close(braced)
        rest = self._peek("expected end of input")
        if rest.kind:
            raise SyntaxWrong(f"{rest.place}: {rest.text}: expected end of input")
        return found

    def _matcher(self) -> tuple[str, Op, str]:
        name = self._text("expected label name")
        op = self._expect("expected an operator such as '=', '!=', '=~' or '!~'", "operator")
        value = self._text("expected label value")
        return name, Op(op.text), value

    def _goes_on(self) -> bool:
        """Whether another matcher follows the one just read."""
        if self._peek("expected a comma or close brace").kind == "":
            return False
        self._expected("expected a comma or close brace", "comma", "close")
        if self._tokens.peek().kind == "close":
            return False
        self._tokens.take()
        wanted = "expected a matcher or close brace after comma"
        if self._peek(wanted).kind == "":
            return False
        return self._expected(wanted, "close", "bare", "quoted").kind != "close"

    def _close(self, braced: bool) -> None:
        token = self._tokens.peek()
        if braced and token.kind == "":
            raise SyntaxWrong(f"0:{self._tokens.at}: {_END}: expected close brace")
        if not braced and token.kind == "close":
            raise SyntaxWrong(f"0:{token.end}: }}: expected opening brace")
        if braced:
            self._tokens.take()

    def _text(self, wanted: str) -> str:
        token = self._expect(wanted, "quoted", "bare")
        if token.kind == "bare":
            return token.text
        try:
            return unquote(token.text)
        except Unquotable as error:
            raise SyntaxWrong(f"{token.place}: {token.text}: invalid input") from error

    def _expect(self, wanted: str, *kinds: str) -> Token:
        self._expected(wanted, *kinds)
        return self._tokens.take()

    def _expected(self, wanted: str, *kinds: str) -> Token:
        token = self._peek(wanted)
        if token.kind == "":
            raise SyntaxWrong(f"{_END}: {wanted}")
        if token.kind not in kinds:
            raise SyntaxWrong(f"{token.place}: unexpected {token.text}: {wanted}")
        return token

    def _peek(self, wanted: str) -> Token:
        try:
            return self._tokens.peek()
        except SyntaxWrong as error:
            raise SyntaxWrong(f"{error}: {wanted}") from error
