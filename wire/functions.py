"""The functions that annotation templates may call, with how many arguments each takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from model.moment import SECOND, parse_duration
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

    call: Callable[..., Any]
    least: int
    most: int


def a_string(value: Value) -> str:
    """The value, where a function takes nothing but strings. Raises TemplateValueError."""
    if not isinstance(value, str):
        raise TemplateValueError(f"expected a string, not {go_text(value)}")
    return value


def _kind(value: Value) -> type:
    """Go compares only values of one kind. Raises TemplateValueError for what it compares with nothing."""
    if not isinstance(value, bool | int | float | str):
        raise TemplateValueError(f"invalid type for comparison: {go_text(value)}")
    return type(value)


def _alike(left: Value, right: Value) -> None:
    if _kind(left) is not _kind(right):
        raise TemplateValueError(
            f"incompatible types for comparison: {go_text(left)} and {go_text(right)} "
            "(write a number with a point to compare it with $value)"
        )


def _equal(first: Value, *others: Value) -> bool:
    for other in others:
        _alike(first, other)
        if first == other:
            return True
    return False


def _on_float(function: Callable[[float], str]) -> Function:
    return Function(lambda value: function(to_float(value)), 1, 1)


def _on_text(function: Callable[[str], Value]) -> Function:
    return Function(lambda value: function(a_string(value)), 1, 1)


def _comparison(test: Callable[[Any, Any], bool]) -> Function:
    def compare(left: Value, right: Value) -> bool:
        _alike(left, right)
        if isinstance(left, bool):
            raise TemplateValueError("invalid type for comparison: a truth value has no order")
        return test(left, right)

    return Function(compare, 2, 2)


def _match(pattern: Value, text: Value) -> bool:
    return _regex(pattern).search(_whole(a_string(text))) is not None


def _replace_all(pattern: Value, replacement: Value, text: Value) -> str:
    """Go's ReplaceAllString: `$name` takes the longest name, an unknown group is empty, `$$` is `$`."""
    layout = a_string(replacement)

    expression = _regex(pattern)

    def one(found: Any) -> str:
        def group(variable: re.Match[str]) -> str:
            name = variable[1] or variable[2]
            if not name:
                return "$"
            place = int(name[:9]) if name.isdigit() else expression.groupindex.get(name, -1)
            return found[place] or "" if 0 <= place <= expression.groups else ""

        return _VARIABLE.sub(group, layout)

    return str(expression.sub(one, _whole(a_string(text))))


def _regex(pattern: Value) -> Any:
    """By RE2, as in Go: no pattern and no label make it run for ever, as they could make `re`."""
    try:
        return _compiled(_whole(a_string(pattern)))
    except ValueError as error:
        raise TemplateValueError(f"pattern {go_text(pattern)!r}: {error}") from error


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """Raises ValueError. RE2 is loaded late: the agent, which fills in no template, does not have it."""
    try:
        import re2
    except ImportError as error:
        raise ValueError("regular expressions need google-re2, which is not installed") from error
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0] if error.args else error
        raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from error


def _whole(text: str) -> str:
    """Half of a surrogate pair is no text."""
    return text.encode(errors="replace").decode()


def _index(container: Value, key: Value) -> Value:
    if not isinstance(container, Mapping):
        raise TemplateValueError(f"index of {go_text(container)}, which is no label set")
    return container.get(a_string(key), "")


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
    return sample.labels.get(a_string(name), "")


def _sorted_by_label(name: Value, samples: Value) -> list[QueriedSample]:
    if not isinstance(samples, list):
        raise TemplateValueError("sortByLabel of what is no query result")
    return sorted(samples, key=lambda sample: sample.labels.get(a_string(name), ""))


def _seconds(text: str) -> float:
    try:
        return parse_duration(text) / SECOND
    except ValueError as error:
        raise TemplateValueError(str(error)) from error


def _link(tab: int) -> Function:
    """The address of an expression in Prometheus' own pages, without the host."""
    return _on_text(lambda expression: f"/graph?g0.expr={quote_plus(expression)}&g0.tab={tab}")


def _strip_domain(host: str) -> str:
    """The host name without its domain; addresses stay as they are."""
    name, colon, port = host.partition(":") if host.count(":") == 1 else (host, "", "")
    if ":" in name or re.fullmatch(r"[\d.]+", name):
        return host
    return name.split(".")[0] + colon + port


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


_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


FUNCTIONS: Mapping[str, Function] = {
    "humanize": _on_float(humanize),
    "humanize1024": _on_float(humanize1024),
    "humanizePercentage": _on_float(humanize_percentage),
    "humanizeDuration": _on_float(humanize_duration),
    "humanizeTimestamp": _on_float(humanize_timestamp),
    "printf": Function(lambda layout, *rest: go_printf(a_string(layout), rest), 1, 99),
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
    "strvalue": Function(lambda sample: _label("__value__", sample), 1, 1),
    "sortByLabel": Function(_sorted_by_label, 2, 2),
    "args": Function(lambda *values: {f"arg{place}": value for place, value in enumerate(values)}, 0, 99),
    "graphLink": _link(0),
    "tableLink": _link(1),
    "parseDuration": _on_text(_seconds),
    "stripDomain": _on_text(_strip_domain),
    "urlQueryEscape": _on_text(quote_plus),
    "toTime": _on_float(humanize_timestamp),
    "len": Function(_length, 1, 1),
    "not": Function(lambda value: not value, 1, 1),
    "eq": Function(_equal, 2, 99),
    "ne": Function(lambda left, right: not _equal(left, right), 2, 2),
    "lt": _comparison(lambda left, right: left < right),
    "le": _comparison(lambda left, right: left <= right),
    "gt": _comparison(lambda left, right: left > right),
    "ge": _comparison(lambda left, right: left >= right),
}
