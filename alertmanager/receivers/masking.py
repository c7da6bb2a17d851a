"""Keeps secrets out of what is logged, shown and kept."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

MASK = "***"
_LONGEST_ANSWER = 200


def masked_url(url: str) -> str:
    """Scheme and host; user, path and query may each be the secret.

    >>> masked_url("https://user:pw@chat.example:8443/hooks/T0K3N?key=1")
    'https://chat.example:8443/***'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/{MASK}"


def secrets_in(url: str) -> set[str]:
    """The parts of a URL that must not be shown."""
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    found = {url, credentials, *credentials.split(":"), path, parts.path, parts.query, *parts.path.split("/")}
    return {secret for secret in found if len(secret) > 3}


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text on one line, cut, with every secret replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, MASK)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_ANSWER else line[: _LONGEST_ANSWER - 1] + "…"
