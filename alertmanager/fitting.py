"""Cuts values so that their JSON fits; what was cut says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()

_FIRST = ("alertname", "tier", "severity", "summary", "first_check", "runbook_url", "description")
"""What a person needs first is kept where not all pairs fit."""

_SHORTEST = 48
"""Values are not cut below so many bytes; pairs are left out instead."""

IDENTITY = frozenset(
    {
        "routing_key", "dedup_key", "event_action", "service_key", "incident_key", "event_type",
        "alias", "entity_id", "message_type", "channel", "chat_id", "parse_mode", "roomId",
        "touser", "toparty", "totag", "agentid", "msgtype", "ts",
    }
)  # fmt: skip
"""Members of a message by which services know the matter, its end, and whom it goes to."""

_LONGEST_NAME = 512
"""No service has a longer one; source: Opsgenie's alias, the longest."""

_LONGEST_URL = 2048
_BYTES_OF_A_PAIR = 128
_ALL = 1 << 30


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
    """A message as JSON of at most `limit` bytes (0: no limit).

    Long texts are cut first, then lists and objects of plain values are shortened; a list of texts says how
    many are missing. What a service knows the matter by (`IDENTITY`) stays, and a URL stays whole or goes.
    """
    body = encoded(value)
    if not limit:
        return body
    for level, most in _steps(limit):
        if len(body) <= limit:
            break
        body = encoded(_message(value, level, most))
    return body


def _steps(limit: int) -> Iterator[tuple[int, int]]:
    """Ever harder: how many bytes a text may have, and how many items a list."""
    for most, least in ((_ALL, 512), (32, 192), (8, 96), (2, _SHORTEST), (0, _SHORTEST), (0, 5)):
        level = limit if most == _ALL else min(limit, 4096)
        while level > least:
            level = max(level * 3 // 4, least)
            yield level, most


def _message(value: Any, level: int, most: int) -> Any:
    if not isinstance(value, dict):
        return _level(value, level, most)
    own = {name: fitted(text, _LONGEST_NAME) for name, text in value.items() if _identifies(name, text)}
    rest = {name: each for name, each in value.items() if name not in own}
    smaller = {name: _level(each, level, most) for name, each in rest.items()}
    return {name: own[name] if name in own else smaller[name] for name in value}


def _identifies(name: str, text: Any) -> bool:
    return name in IDENTITY and isinstance(text, str)


def _level(value: Any, level: int, most: int) -> Any:
    if isinstance(value, str):
        if value.startswith(("http://", "https://")) and len(value) <= _LONGEST_URL:
            return value if most else ""
        return fitted(value, level)
    if isinstance(value, list):
        return _shortened([_level(inner, level, most) for inner in value[: max(most, 1)]], value, most)
    if isinstance(value, dict):
        smaller = {name: _level(inner, level, most) for name, inner in value.items()}
        plain = all(isinstance(inner, str) for inner in value.values())
        return _some(smaller, _BYTES_OF_A_PAIR * max(most, 4)) if plain and most < _ALL else smaller
    return value


def _shortened(items: list[Any], all_of: list[Any], most: int) -> list[Any]:
    """The one part of a message (an embed, an attachment, a block) is never left out."""
    if all(isinstance(item, str) for item in all_of) and len(items) < len(all_of):
        return [*items, f"… ({len(all_of) - len(items)} more)"]
    return items if most or len(all_of) == 1 else []


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
