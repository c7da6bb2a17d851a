"""The functions that notification templates may call; those of Go that rules' templates have are shared."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from alertmanager.fitting import encoded
from alertmanager.template.moments import Duration, Time
from alertmanager.template.values import (
    BOOL,
    DURATION,
    KV,
    NUMBER,
    TEXT,
    TEXTS,
    TIME,
    AlertView,
    Data,
    Pair,
    Strings,
)
from wire.functions import FUNCTIONS, Function, a_string
from wire.gotext import TemplateValueError, Value, go_printf, go_text, humanize_duration, to_float
from wire.template_language import LOGIC, Expression, Kind, Scope


class SafeHTML(str):
    """A text that its author vouches for: it is HTML already."""

    __slots__ = ()


class SafeURL(str):
    """A URL that its author vouches for."""

    __slots__ = ()


_SHARED = (
    "print", "toUpper", "toLower", "match", "reReplaceAll", "len", "not", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip


def _title(text: str) -> str:
    """Every word with a capital in front; the rest of it stays."""
    return re.sub(r"(?<![\w'])\w", lambda found: found[0].upper(), text)


def _join(separator: Any, values: Any) -> str:
    if not isinstance(values, list):
        raise TemplateValueError(f"join wants a list, not {go_text(values)}")
    return a_string(separator).join(go_text(value) for value in values)


def _index(container: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(container, Mapping):
            container = container.get(key, "")
        elif isinstance(container, list | str) and isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key < len(container):
                raise TemplateValueError(f"index out of range: {key}")
            container = container[key]
        else:
            raise TemplateValueError(f"index of {go_text(container)} by {go_text(key)}")
    return container


def _slice(container: Any, *bounds: Any) -> Any:
    if not isinstance(container, list | str) or not all(isinstance(bound, int) for bound in bounds):
        raise TemplateValueError("slice wants a text or a list, and numbers")
    if any(not 0 <= bound <= len(container) for bound in bounds):
        raise TemplateValueError("slice: out of range")
    ends = [*bounds, *[0, len(container)][len(bounds) :]]
    cut = container[ends[0] : ends[1]]
    return cut if isinstance(cut, str) else type(container)(cut)


def _printf(layout: Any, *rest: Any) -> str:
    return go_printf(a_string(layout), [_printable(value) for value in rest])


def _printable(value: Any) -> Value:
    basic = value is None or isinstance(value, str | int | float)
    return value if basic else str(value) if not isinstance(value, Mapping) else value


def _humanized(value: Any) -> str:
    return humanize_duration(float(value) if isinstance(value, Duration) else to_float(value))


def _time(value: Any) -> Time:
    if not isinstance(value, Time):
        raise TemplateValueError(f"expected a time, not {go_text(value)}")
    return value


def _since(scope: Scope, time: Expression) -> Duration:
    return Time(int(scope.given)).sub(_time(time(scope)))


def to_json(value: Any) -> str:
    """The value as JSON, alerts with the names that Alertmanager's API gives them."""
    return encoded(_plain(value)).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, KV):
        return dict(value)
    if isinstance(value, AlertView | Data):
        return {key: _plain(getattr(value, name)) for name, key in _JSON_NAMES[type(value)]}
    if isinstance(value, Time):
        return value.iso()
    if isinstance(value, Pair | Mapping):
        pairs = value._asdict() if isinstance(value, Pair) else value
        return {str(key): _plain(inner) for key, inner in pairs.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Duration) else value


_JSON_NAMES = {
    each: [(name, name[0].lower() + name[1:]) for name in each.__slots__ if name[0].isupper()]
    for each in (AlertView, Data)
}


def _dict(*values: Any) -> dict[str, Any]:
    if len(values) % 2:
        raise TemplateValueError("dict wants names and values in turn")
    return {a_string(name): value for name, value in zip(values[::2], values[1::2], strict=True)}


NOTIFICATION_FUNCTIONS: Mapping[str, Function] = {
    **{name: FUNCTIONS[name] for name in _SHARED},
    "printf": Function(_printf, 1, 99),
    "println": Function(lambda *values: " ".join(map(go_text, values)) + "\n", 0, 99),
    "html": Function(lambda value: html.escape(go_text(value)), 1, 1),
    "urlquery": Function(lambda value: quote_plus(go_text(value)), 1, 1),
    "index": Function(_index, 1, 99),
    "slice": Function(_slice, 1, 3),
    "title": Function(lambda text: _title(a_string(text)), 1, 1),
    "trimSpace": Function(lambda text: a_string(text).strip(), 1, 1),
    "join": Function(_join, 2, 2),
    "safeHtml": Function(lambda text: SafeHTML(a_string(text)), 1, 1),
    "safeUrl": Function(lambda text: SafeURL(a_string(text)), 1, 1),
    "urlUnescape": Function(lambda text: unquote_plus(a_string(text)), 1, 1),
    "stringSlice": Function(lambda *texts: Strings(map(a_string, texts)), 0, 99),
    "list": Function(lambda *values: Strings(values), 0, 99),
    "append": Function(lambda values, *more: Strings([*values, *more]), 1, 99),
    "dict": Function(_dict, 0, 98),
    "date": Function(lambda layout, time: _time(time).format(a_string(layout)), 2, 2),
    "tz": Function(lambda name, time: _time(time).in_zone(a_string(name)), 2, 2),
    "humanizeDuration": Function(_humanized, 1, 1),
    "toJson": Function(to_json, 1, 1),
}

SCOPED_FUNCTIONS: Mapping[str, Function] = {**LOGIC, "since": Function(_since, 1, 1)}

RESULTS: Mapping[str, Kind] = {
    **dict.fromkeys(("not", "eq", "ne", "lt", "le", "gt", "ge", "match"), BOOL),
    **dict.fromkeys(
        (
            "print", "printf", "println", "html", "urlquery", "title", "toUpper", "toLower", "trimSpace",
            "join",
            "reReplaceAll", "safeHtml", "safeUrl", "urlUnescape", "date", "humanizeDuration", "toJson",
        ),
        TEXT,
    ),
    "len": NUMBER,
    "stringSlice": TEXTS,
    "tz": TIME,
    "since": DURATION,
}  # fmt: skip
"""What is known at load of what they return."""
