"""Text of others (the kernel's log, names of processes and models) for a terminal, which would obey it."""

from __future__ import annotations

import unicodedata


def visible(text: str, keep: str = "") -> str:
    """The text with what does not print (Unicode's categories C*, Zl and Zp) as escapes, but for `keep`.

    So no colour, title or cursor of a terminal can be set from outside, and no line be forged.

    >>> print(visible("llama\\x1b[2J"), visible("a\\nb"), visible("Größe"))
    llama\\x1b[2J a\\nb Größe
    """
    if text.isprintable():
        return text
    return "".join(_visible(sign) if sign not in keep else sign for sign in text)


def _visible(sign: str) -> str:
    if sign.isprintable() or unicodedata.category(sign) == "Zs":
        return sign
    return sign.encode("unicode_escape").decode()
