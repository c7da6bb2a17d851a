"""Cuts values so that their JSON fits; what was cut says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()

_FIRST = ("alertname", "tier", "severity", "summary", "first_check", "runbook_url", "description")
"""What a person needs first is kept where not all pairs fit."""

_SHORTEST = 48
"""Values are not cut below so many bytes; pairs are left out instead."""


def encoded(value: object) -> bytes:
    """The value as JSON; half of a surrogate pair, which is no text, becomes a question mark."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(_clean(value))


def fitted(text: str, limit: int) -> str:
    """The text, cut so that its JSON takes at most `limit` bytes.

    >>> fitted("short", 40), fitted("x" * 1000, 40)
    ('short', 'xxxxxxxxxxxxxxxxx… (1000 characters)')
    """
    size = len(encoded(text[: limit + 1]))  # no character takes less than a byte
    if size <= limit:
        return text
    mark = f"… ({len(text)} characters)"
    room = limit - len(encoded(mark))
    if room <= 0:
        return "…" if limit >= 5 else ""
    kept = text[:room]
    while (size := len(encoded(kept)) - 2) > room:
        kept = kept[: max(0, len(kept) * room // size - 1)]
    return kept + mark


def fitted_pairs(pairs: Iterable[tuple[str, str]], limit: int) -> dict[str, str]:
    """The pairs as an object whose JSON takes at most `limit` bytes: values are cut, then pairs left out."""
    found = dict(pairs)
    if _roughly(found) <= limit and len(encoded(found)) <= limit:
        return found
    level, cut = limit, found
    while level > _SHORTEST:
        level = max(level * 3 // 4, _SHORTEST)
        cut = {fitted(name, level): fitted(value, level) for name, value in found.items()}
        if len(encoded(cut)) <= limit:
            return cut
    return _some(cut, limit)


def fitted_body(value: Any, limit: int) -> bytes:
    """A body as JSON of at most `limit` bytes (0: no limit): its long texts are cut until it fits."""
    body = encoded(value)
    level = limit
    while limit and len(body) > limit and level > _SHORTEST:
        level = level * 3 // 4
        body = encoded(_level(value, level))
    return body


def _level(value: Any, level: int) -> Any:
    if isinstance(value, str):
        return fitted(value, level)
    if isinstance(value, dict):
        return {name: _level(inner, level) for name, inner in value.items()}
    return [_level(inner, level) for inner in value] if isinstance(value, list) else value


def _some(pairs: dict[str, str], limit: int) -> dict[str, str]:
    """As many pairs as fit, and how many do not."""
    kept: dict[str, str] = {}
    room = limit - 2 - len(encoded({"…": f"{len(pairs)} more"}))
    for name in sorted(pairs, key=lambda name: (name not in _FIRST, name)):
        size = len(encoded({name: pairs[name]})) - 1
        if size <= room:
            kept[name] = pairs[name]
            room -= size
    left = len(pairs) - len(kept)
    return {**kept, "…": f"{left} more"} if left and limit > 32 else kept


def _roughly(pairs: dict[str, str]) -> int:
    """No more than the size of its JSON, without making it."""
    return sum(len(name) + len(value) + 6 for name, value in pairs.items()) + 1 if pairs else 2


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_clean(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value
