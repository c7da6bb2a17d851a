"""How a value is printed in each channel, so that it is read there as text and as nothing else.

Text that stands in the template is its author's and goes out as it is; what a label or an annotation
holds is escaped by the rules of the place where it arrives.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from wire.gotext import go_text
from wire.template_language import Printer

Escape = Callable[[str], str]

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~=])")
_LIGHT_MARKDOWN = re.compile(r"([\\`*<>~|]|\](?=[(\[:])|(?<!\w)_|_(?!\w))")
_MENTION = re.compile(r"(?<![\w.+-])@(?=\w)")
_URL = re.compile(r"(https?://[\w./:?#&=%+,;~-]+)", re.ASCII)
_ENDS_A_LINK = re.compile(r"([)\\])")
_IN_WORDS_OF_A_LINK = re.compile(r"[][_*`]")
_IN_BARE_URL = "/:?#&=%+,;~.-_@!$'"
_WORD_JOINER = "\u2060"


def plain(text: str) -> str:
    """As it is."""
    return text


def slack(text: str) -> str:
    """Slack reads `<...>` as mentions and links; the rest of its formatting can do no harm.

    >>> slack("<!channel> & <@U1>")
    '&lt;!channel&gt; &amp; &lt;@U1&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_names(text: str) -> str:
    """The same where `link_names` makes mentions of what begins with @."""
    return unmentioned(slack(text))


def unmentioned(text: str) -> str:
    """With an invisible character behind every @ that would call somebody; addresses of mail stay.

    >>> unmentioned("@here ops@example.org") == "@\\u2060here ops@example.org"
    True
    """
    return _MENTION.sub("@" + _WORD_JOINER, text)


def markdown(text: str) -> str:
    """For chats that read Markdown: no formatting, pictures, HTML or mentions; a bare URL stays one.

    >>> markdown("![x](http://a/b_c) a_b *c*")
    '![x\\\\](http://a/b_c) a_b \\\\*c\\\\*'
    """
    parts = _URL.split(text)  # every second part is a URL
    escaped = (unmentioned(_LIGHT_MARKDOWN.sub(r"\\\1", part)) for part in parts[::2])
    return "".join(part for pair in zip_longest(escaped, parts[1::2], fillvalue="") for part in pair)


def markdown_v2(text: str) -> str:
    """For Telegram's MarkdownV2, which refuses a message with any of these characters bare."""
    return _MARKDOWN.sub(r"\\\1", text)


def markdown_v1(text: str) -> str:
    """For Telegram's old Markdown, which knows four characters."""
    return re.sub(r"([_*`\[])", r"\\\1", text)


def html_text(text: str) -> str:
    """For a subset of HTML."""
    return html.escape(text)


def markdown_link(words: str, url: str) -> str:
    """A bare URL, which every such chat makes a link, without a character that ends or formats one."""
    return f"{markdown(words)}: {quote(url, safe=_IN_BARE_URL, errors='replace')}"


def markdown_v2_link(words: str, url: str) -> str:
    """Inside of the brackets everything is escaped, inside of the parentheses two characters."""
    escaped = _ENDS_A_LINK.sub(r"\\\1", url)
    return f"[{markdown_v2(words)}]({escaped})"


def markdown_v1_link(words: str, url: str) -> str:
    """Nothing can be escaped inside of brackets, so what would end them is left out."""
    return f"[{_IN_WORDS_OF_A_LINK.sub(' ', words)}]({url.replace(')', '%29')})"


LINKS: Mapping[str, Callable[[str, str], str]] = {
    "text": lambda words, url: f"{words}: {url}",
    "slack": lambda words, url: f"{slack(words)}: {slack(url)}",
    "slack_names": lambda words, url: f"{slack_names(words)}: {slack(url)}",
    "markdown": markdown_link,
    "MarkdownV2": markdown_v2_link,
    "Markdown": markdown_v1_link,
    "html_text": lambda words, url: f'<a href="{html.escape(url)}">{html.escape(words)}</a>',
}
"""How each of the markups below writes a link."""

ESCAPES: Mapping[str, Escape] = {
    "text": plain,
    "slack": slack,
    "slack_names": slack_names,
    "markdown": markdown,
    "MarkdownV2": markdown_v2,
    "Markdown": markdown_v1,
    "html_text": html_text,
}
"""By the name of a channel's markup; `html` has a printer of its own."""


class Escaping(Printer):
    """Escapes every value in the same way."""

    def __init__(self, escape: Escape) -> None:
        self._escape = escape

    def value(self) -> Callable[[Any], str]:
        """Prints a value as text of the channel."""
        escape = self._escape
        return lambda value: escape(go_text(value))


class URLPrinter(Printer):
    """For a URL: a value may be the whole of it or a part, but as a part it leads nowhere else.

    `state` says whether the URL has begun.
    """

    state: bool = False

    def literal(self, text: str) -> str:
        """Text of the template itself begins the URL."""
        self.state = self.state or bool(text.strip())
        return text

    def value(self) -> Callable[[Any], str]:
        """A first value is a whole URL; what follows something is one part of it."""
        began, self.state = self.state, True
        return (lambda value: quote(go_text(value), safe="", errors="replace")) if began else go_text

    def join(self, one: bool, other: bool, keyword: str) -> bool:
        """After a branch that began the URL it has begun."""
        return one or other
