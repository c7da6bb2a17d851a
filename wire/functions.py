"""The functions that annotation templates may call, with how many arguments each takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from wire.gotext import (
    QueriedSample,
    TemplateValueError,
    Value,
    go_printf,
    go_text,
    humanize,
    humanize1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
    to_float,
)


class Function(NamedTuple):
    """What a name in a template calls; the piped value counts as the last argument."""

    call: Callable[..., Value]
    least: int
    most: int


def _equal(first: Value, *others: Value) -> bool:
    return any(first == other for other in others)


def _both(*values: Value) -> Value:
    """Go's `and`: the first empty value, else the last."""
    return next((value for value in values if not value), values[-1])


def _either(*values: Value) -> Value:
    """Go's `or`: the first value that is not empty, else the last."""
    return next((value for value in values if value), values[-1])


def _on_float(function: Callable[[float], str]) -> Function:
    return Function(lambda value: function(to_float(value)), 1, 1)


def _on_text(function: Callable[[str], Value]) -> Function:
    return Function(lambda value: function(go_text(value)), 1, 1)


def _comparison(test: Callable[[float, float], bool]) -> Function:
    return Function(lambda left, right: test(to_float(left), to_float(right)), 2, 2)


def _match(pattern: Value, text: Value) -> bool:
    return _regex(pattern).search(go_text(text)) is not None


def _replace_all(pattern: Value, replacement: Value, text: Value) -> str:
    template = re.sub(r"\$(?:\{(\w+)\}|(\w+))", r"\\g<\1\2>", go_text(replacement).replace("\\", "\\\\"))
    try:
        return _regex(pattern).sub(template, go_text(text))
    except (re.error, IndexError) as error:
        raise TemplateValueError(f"replacement {go_text(replacement)!r}: {error}") from error


def _regex(pattern: Value) -> re.Pattern[str]:
    try:
        return re.compile(go_text(pattern))
    except re.error as error:
        raise TemplateValueError(f"pattern {go_text(pattern)!r}: {error}") from error


def _index(container: Value, key: Value) -> Value:
    if not isinstance(container, Mapping):
        raise TemplateValueError(f"index of {go_text(container)}, which is no label set")
    return container.get(go_text(key), "")


def _first(samples: Value) -> Value:
    if not isinstance(samples, list) or not samples:
        raise TemplateValueError("first() called on vector with no elements")
    return samples[0]


def _value(sample: Value) -> float:
    if not isinstance(sample, QueriedSample):
        raise TemplateValueError("value of what is no sample")
    return sample.value


def _label(name: Value, sample: Value) -> str:
    if not isinstance(sample, QueriedSample):
        raise TemplateValueError("label of what is no sample")
    return sample.labels.get(go_text(name), "")


def _length(value: Value) -> int:
    if not isinstance(value, str | Mapping | list):
        raise TemplateValueError(f"len of {go_text(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _print(*values: Value) -> str:
    """Go's Sprint: a space between two values of which neither is a string."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += go_text(value)
    return text


FUNCTIONS: Mapping[str, Function] = {
    "humanize": _on_float(humanize),
    "humanize1024": _on_float(humanize1024),
    "humanizePercentage": _on_float(humanize_percentage),
    "humanizeDuration": _on_float(humanize_duration),
    "humanizeTimestamp": _on_float(humanize_timestamp),
    "printf": Function(lambda layout, *rest: go_printf(go_text(layout), rest), 1, 99),
    "print": Function(_print, 0, 99),
    "title": _on_text(lambda text: re.sub(r"\b\w", lambda found: found[0].upper(), text)),
    "toUpper": _on_text(str.upper),
    "toLower": _on_text(str.lower),
    "stripPort": _on_text(lambda text: re.sub(r"^\[(.*)\](?::\d+)?$|^([^:]*):\d+$", r"\1\2", text)),
    "safeHtml": _on_text(str),
    "match": Function(_match, 2, 2),
    "reReplaceAll": Function(_replace_all, 3, 3),
    "index": Function(_index, 2, 2),
    "first": Function(_first, 1, 1),
    "value": Function(_value, 1, 1),
    "label": Function(_label, 2, 2),
    "len": Function(_length, 1, 1),
    "not": Function(lambda value: not value, 1, 1),
    "and": Function(_both, 1, 99),
    "or": Function(_either, 1, 99),
    "eq": Function(_equal, 2, 99),
    "ne": Function(lambda left, right: left != right, 2, 2),
    "lt": _comparison(lambda left, right: left < right),
    "le": _comparison(lambda left, right: left <= right),
    "gt": _comparison(lambda left, right: left > right),
    "ge": _comparison(lambda left, right: left >= right),
}
