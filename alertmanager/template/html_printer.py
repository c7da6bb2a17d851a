"""Printing values into HTML: what a value may be depends on where in the page it stands.

The places are followed through the literal text, as Go's html/template does, in a smaller set: text,
attributes (of which href, src and the like hold URLs, style holds CSS), the text of title and textarea.
A value inside of script, in a comment, or as the name of a tag or an attribute is an error at load.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from alertmanager.template.functions import SafeHTML, SafeURL
from wire.gotext import go_text
from wire.template_language import Printer
from wire.template_tokens import TemplateError

REFUSED = "ZgotmplZ"
"""What stands in place of a value that would be dangerous where it is; the word is Go's."""

_URLS = frozenset({"href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc"})
_SCHEMES = ("http", "https", "mailto", "tel")
_RAW = frozenset({"script", "style", "title", "textarea"})
_TAG_NAME = re.compile(r"/?[A-Za-z][\w:-]*")
_ATTRIBUTE = re.compile(r"[^\s=>\"'/]+")
_CSS = re.compile(r"[\w #.,%+-]*")
_SAFE_IN_URL = "!#$&*+,/:;=?@[]-._~%"


class Place(NamedTuple):
    """Where in the page: text, tag, attribute, value or comment; `began`: the value has a beginning."""

    where: str = "text"
    element: str = ""
    attribute: str = ""
    quote: str = ""
    began: bool = False


class HTMLPrinter(Printer):
    """Follows the page and escapes accordingly."""

    def __init__(self, place: Place | None = None) -> None:
        self.state: Place = place or Place()

    def literal(self, text: str) -> str:
        """Goes through the text; comments of HTML go out as they are."""
        position = 0
        while position < len(text):
            position = getattr(self, f"_{self.state.where}")(text, position)
        return text

    def value(self) -> Callable[[Any], str]:
        """The escaping at this place. Raises TemplateError where no value may stand."""
        place = self.state
        if place.where == "text":
            if place.element == "style":
                return _css
            if place.element == "script":
                raise TemplateError("a value inside of <script> is not supported")
            return _text
        if place.where == "equals":  # a value without quotes
            self.state = place = place._replace(where="value")
        if place.where != "value":
            raise TemplateError(f"a value inside of a {place.where} of the HTML is not supported")
        self.state = place._replace(began=True)
        escape = _escape_of(place)
        return escape if place.quote else lambda value: _unquoted(escape(value))

    def join(self, one: Any, other: Any, keyword: str) -> Any:
        """After a branch that may have begun a URL the next value is looked at as if it began one."""
        if one != other and one._replace(began=False) == other._replace(began=False):
            return one._replace(began=False)
        return super().join(one, other, keyword)

    def _text(self, text: str, position: int) -> int:
        raw = self.state.element
        found = text.find(f"</{raw}" if raw else "<", position)
        if found < 0:
            return len(text)
        if text.startswith("<!--", found):
            self.state = Place("comment")
            return found + 4
        name = _TAG_NAME.match(text, found + 1)
        if name is None:
            return found + 1
        self.state = Place("tag", "" if raw else name[0].lower())
        return name.end()

    def _comment(self, text: str, position: int) -> int:
        found = text.find("-->", position)
        if found < 0:
            return len(text)
        self.state = Place()
        return found + 3

    def _tag(self, text: str, position: int) -> int:
        if text[position] == ">":
            element = self.state.element
            self.state = Place("text", element if element in _RAW else "")
            return position + 1
        name = _ATTRIBUTE.match(text, position)
        if name is None:
            return position + 1
        after = name.end()
        if text[after : after + 1] == "=" or text[after:].lstrip()[:1] == "=":
            self.state = self.state._replace(where="equals", attribute=name[0].lower())
            return text.index("=", after) + 1
        return after

    def _equals(self, text: str, position: int) -> int:
        if text[position].isspace():
            return position + 1
        quoted = text[position] in "\"'"
        self.state = self.state._replace(where="value", quote=text[position] if quoted else "", began=False)
        return position + quoted

    def _value(self, text: str, position: int) -> int:
        quoted = self.state.quote
        ends = re.compile(re.escape(self.state.quote) if self.state.quote else r"[\s>]")
        found = ends.search(text, position)
        if found is None:
            self.state = self.state._replace(began=True)
            return len(text)
        self.state = Place("tag", self.state.element)
        return found.end() if quoted else found.start()


def _escape_of(place: Place) -> Callable[[Any], str]:
    if place.attribute.startswith("on"):
        raise TemplateError(f"a value inside of the attribute {place.attribute} is not supported")
    if place.attribute == "style":
        return _css
    if place.attribute in _URLS:
        return _url_part if place.began else _url
    return lambda value: html.escape(go_text(value))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, SafeHTML) else html.escape(go_text(value))


def _css(value: Any) -> str:
    text = go_text(value)
    return text if _CSS.fullmatch(text) else REFUSED


def _url(value: Any) -> str:
    """A whole URL: no script runs by it."""
    text = go_text(value)
    scheme, colon, _ = text.partition(":")
    relative = not colon or any(mark in scheme for mark in "/?#")
    if not isinstance(value, SafeURL) and not relative and scheme.strip().lower() not in _SCHEMES:
        return f"#{REFUSED}"
    return html.escape(quote(text, safe=_SAFE_IN_URL, errors="replace"))


def _url_part(value: Any) -> str:
    """What follows the beginning of a URL."""
    safe = _SAFE_IN_URL if isinstance(value, SafeURL) else "-._~%:/?#@!$&*+,;="
    return html.escape(quote(go_text(value), safe=safe, errors="replace"))


def _unquoted(text: str) -> str:
    return re.sub(r"[\s`=]", lambda found: f"&#{ord(found[0])};", text)
