"""Printing values into HTML: what a value may be depends on where in the page it stands.

The places are followed through the literal text, as Go's html/template does, in a smaller set: text,
attributes (of which href, src and the like hold URLs, style holds CSS), the text of title and textarea.
A value inside of script, in a comment, or as the name of a tag or an attribute is an error at load, and so
it is where its text would be read twice: in srcdoc, and in the content of a meta tag.
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

_URLS = frozenset(
    {
        "href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc", "ping",
        "manifest", "codebase", "classid", "archive", "profile", "usemap", "icon", "lowsrc", "dynsrc",
    }
)  # fmt: skip
_SETS_OF_URLS = frozenset({"srcset", "imagesrcset"})
_SCHEMES = ("http", "https", "mailto", "tel")
_ANIMATED = frozenset({"set", "animate"})
"""Elements of SVG of which an attribute may become another's URL."""

_BLANKS = "".join(map(chr, range(33)))
_RAW = frozenset({"script", "style", "title", "textarea"})
_TAG_NAME = re.compile(r"/?[A-Za-z][\w:-]*")
_ATTRIBUTE = re.compile(r"[^\s=>\"'/]+")
_CSS = re.compile(r"[\w #.,%+-]*")
_SAFE_IN_URL = "!#$&*+,/:;=?@[]-._~%"


class Place(NamedTuple):
    """Where in the page: text, tag, attribute, value or comment.

    `began`: the value has a beginning; `settled`: the template's own text says where a URL leads.
    """

    where: str = "text"
    element: str = ""
    attribute: str = ""
    quote: str = ""
    began: bool = False
    settled: bool = False


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
        fresh = {"began": False, "settled": False}
        if one != other and one._replace(**fresh) == other._replace(**fresh):
            return one._replace(**fresh)
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
        quote = text[position] if quoted else ""
        self.state = self.state._replace(where="value", quote=quote, began=False, settled=False)
        return position + quoted

    def _value(self, text: str, position: int) -> int:
        quoted = self.state.quote
        ends = re.compile(re.escape(self.state.quote) if self.state.quote else r"[\s>]")
        found = ends.search(text, position)
        if found is None:
            said = html.unescape(text[position:]).strip(_BLANKS)  # browsers skip blanks in front of a URL
            began, settled = self.state.began or bool(said), any(mark in said for mark in ":/?#")
            self.state = self.state._replace(began=began, settled=self.state.settled or settled)
            return len(text)
        self.state = Place("tag", self.state.element)
        return found.end() if quoted else found.start()


def _escape_of(place: Place) -> Callable[[Any], str]:
    name = place.attribute.rpartition(":")[2]  # xlink:href is one too
    if name.startswith("on") or name == "srcdoc" or (place.element, name) == ("meta", "content"):
        raise TemplateError(f"a value inside of the attribute {place.attribute} is not supported")
    if name == "style":
        return _css
    if name in _SETS_OF_URLS:
        return _url_set
    if name in _URLS or place.element in _ANIMATED:
        return _url_part if place.settled else _url_going_on if place.began else _url
    return lambda value: html.escape(go_text(value))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, SafeHTML) else html.escape(go_text(value))


def _css(value: Any) -> str:
    text = go_text(value)
    return text if _CSS.fullmatch(text) else REFUSED


def _url(value: Any) -> str:
    """A whole URL: no script runs by it."""
    text = go_text(value)
    if not isinstance(value, SafeURL) and not _harmless(text):
        return f"#{REFUSED}"
    return html.escape(quote(text, safe=_SAFE_IN_URL, errors="replace"))


def _harmless(url: str) -> bool:
    """Whether it is relative, or of a scheme that opens a page, a mail or a telephone."""
    scheme, colon, _ = url.partition(":")
    relative = not colon or any(mark in scheme for mark in "/?#")
    return relative or scheme.strip().lower() in _SCHEMES


def _url_going_on(value: Any) -> str:
    """What follows a value that may have been empty, or the beginning of a scheme."""
    part = _url_part(value)
    return part if isinstance(value, SafeURL) or _harmless(go_text(value)) else part.replace(":", "%3A")


def _url_set(value: Any) -> str:
    """URLs with their sizes, between commas."""
    text = go_text(value)
    safe = isinstance(value, SafeURL) or all(map(_harmless, text.split(",")))
    return html.escape(text) if safe else f"#{REFUSED}"


def _url_part(value: Any) -> str:
    """What follows the beginning of a URL."""
    safe = _SAFE_IN_URL if isinstance(value, SafeURL) else "-._~%:/?#@!$&*+,;="
    return html.escape(quote(go_text(value), safe=safe, errors="replace"))


def _unquoted(text: str) -> str:
    return re.sub(r"[\s`=]", lambda found: f"&#{ord(found[0])};", text)
