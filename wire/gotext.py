"""How Go and Prometheus write a value: %v, printf verbs, and the humanize functions of templates.

Sources: Go's fmt and strconv; prometheus/prometheus template/template.go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from model.moment import format_moment


class QueriedSample(NamedTuple):
    """One result of the template function `query`."""

    labels: Mapping[str, str]
    value: float


Value = str | float | int | bool | Mapping[str, str] | QueriedSample | list[QueriedSample] | None
"""What a template expression can be worth: float is Go's float64, int a literal, Mapping the labels."""

_ESCAPE = re.compile(
    r'\\(?:([abfnrtv"\'\\])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))'
)
_ESCAPED = dict(zip("abfnrtv\"'\\", "\a\b\f\n\r\t\v\"'\\", strict=True))
_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d*))?([a-zA-Z%])")
_GO_TYPES = {str: "string", float: "float64", int: "int", bool: "bool"}
_DECIMAL = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_FRACTION = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


class TemplateValueError(ValueError):
    """A function was given what it cannot work on."""


def go_float(value: float) -> str:
    """`%v` and `%g` of a float64: shortest digits, with an exponent when that is < -4 or >= 6.

    >>> go_float(100000.0), go_float(1234567.0), go_float(0.00001), go_float(2.0)
    ('100000', '1.234567e+06', '1e-05', '2')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, power = _shortest(abs(value))
    if power < -4 or power >= 6:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, rest = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return sign + whole + ("." + rest if rest else "")


def _shortest(value: float) -> tuple[str, int]:
    """The shortest significant digits that read back as `value` (>= 0), and the first one's power of ten."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits.strip("0"):
        return "0", 0
    leading = len(whole + fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - 1 - leading + int(exponent or 0)


def go_text(value: Value) -> str:
    """What `{{ value }}` prints."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{name}:{value[name]}" for name in sorted(value)) + "]"
    return str(value)


def go_unquote(text: str) -> str:
    """What a string literal between double quotes, single quotes or backquotes says.

    Raises ValueError for an escape that Go does not know.

    >>> go_unquote('"a\\\\tb"') == "a\\tb", go_unquote("`a`")
    (True, 'a')
    """
    if text.startswith("`"):
        return text[1:-1]

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return _ESCAPED[found[1]]
        code = found[2] or found[3] or found[4]
        return chr(int(code, 16) if code else int(found[5], 8))

    if "\\" in _ESCAPE.sub("", text[1:-1]):
        raise ValueError(f"unknown escape in {text}")
    return _ESCAPE.sub(one, text[1:-1])


def go_printf(layout: str, arguments: Sequence[Value]) -> str:
    """Go's Sprintf for the verbs that annotations use: s v d f F e E g G q t x X c % and width, precision."""
    rest = list(arguments)

    def one(found: re.Match[str]) -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        return _pad(_verb(verb, flags, precision, rest.pop(0)), flags, width, verb)

    text = _VERB.sub(one, layout)
    if rest:
        extra = ", ".join(f"{_GO_TYPES.get(type(value), 'map')}={go_text(value)}" for value in rest)
        text += f"%!(EXTRA {extra})"
    return text


def _pad(text: str, flags: str, width: str | None, verb: str) -> str:
    if not width:
        return text
    if "-" in flags:
        return text.ljust(int(width))
    if "0" in flags and verb not in "svq":
        return text.zfill(int(width))
    return text.rjust(int(width))


def _verb(verb: str, flags: str, precision: str | None, value: Value) -> str:
    plus = "+" if "+" in flags else ""
    if verb in "fFeEgG" and isinstance(value, float):
        return _float_verb(verb, plus, precision, value)
    if verb in "dxXc" and isinstance(value, int) and not isinstance(value, bool):
        return chr(value) if verb == "c" else format(value, (plus if verb == "d" else "") + verb)
    if verb == "v":
        return go_text(value)
    if verb == "s" and isinstance(value, str):
        return value if precision is None else value[: int(precision or 0)]
    if verb == "q" and isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if verb == "t" and isinstance(value, bool):
        return go_text(value)
    return f"%!{verb}({_GO_TYPES.get(type(value), 'map')}={go_text(value)})"


def _float_verb(verb: str, plus: str, precision: str | None, value: float) -> str:
    if not math.isfinite(value):
        return go_float(value)
    if precision is None and verb in "gG":
        text = plus * (value >= 0) + go_float(value)
        return text.upper() if verb == "G" else text
    places = 6 if precision is None else int(precision or 0)
    return format(value, f"{plus}.{places}{verb}")


def to_float(value: Value) -> float:
    """The number in a value, as Prometheus' convertToFloat. Raises TemplateValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TemplateValueError(f"cannot use {go_text(value)} as a number")
    try:
        return float(value)
    except ValueError as error:
        raise TemplateValueError(f"cannot use {value!r} as a number") from error


def _short(value: float) -> str:
    """`%.4g`, with Go's spelling of what is not finite."""
    if not math.isfinite(value):
        return go_float(value)
    return format(value, ".4g")


def humanize(value: float) -> str:
    """Metric prefixes.

    >>> humanize(1234567.0), humanize(0.00042), humanize(0.0)
    ('1.235M', '420u', '0')
    """
    if value == 0 or not math.isfinite(value):
        return _short(value)
    prefix = ""
    if abs(value) >= 1:
        for step in _DECIMAL:
            if abs(value) < 1000:
                break
            prefix, value = step, value / 1000
        return f"{_short(value)}{prefix}"
    for step in _FRACTION:
        if abs(value) >= 1:
            break
        prefix, value = step, value * 1000
    return f"{_short(value)}{prefix}"


def humanize1024(value: float) -> str:
    """Binary prefixes.

    >>> humanize1024(1048576.0)
    '1Mi'
    """
    if abs(value) <= 1 or not math.isfinite(value):
        return _short(value)
    prefix = ""
    for step in _BINARY:
        if abs(value) < 1024:
            break
        prefix, value = step, value / 1024
    return f"{_short(value)}{prefix}"


def humanize_percentage(value: float) -> str:
    """A ratio as a percentage.

    >>> humanize_percentage(0.1234567)
    '12.35%'
    """
    return f"{_short(value * 100)}%"


def humanize_duration(value: float) -> str:
    """Seconds in the largest units that fit.

    >>> humanize_duration(3661.0), humanize_duration(0.25), humanize_duration(90.5)
    ('1h 1m 1s', '250ms', '1m 30s')
    """
    if not math.isfinite(value):
        return _short(value)
    if value == 0:
        return "0s"
    if abs(value) >= 1:
        return _whole_seconds(value)
    prefix = ""
    for step in _FRACTION:
        if abs(value) >= 1:
            break
        prefix, value = step, value * 1000
    return f"{_short(value)}{prefix}s"


def _whole_seconds(value: float) -> str:
    sign, total = ("-", -int(value)) if value < 0 else ("", int(value))
    seconds, minutes, hours, days = total % 60, total // 60 % 60, total // 3600 % 24, total // 86400
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{_short(abs(value))}s"


def humanize_timestamp(value: float) -> str:
    """Unix seconds as Go prints a time in UTC.

    >>> humanize_timestamp(1435065584.128)
    '2015-06-23 13:19:44.128 +0000 UTC'
    """
    if not math.isfinite(value) or abs(value) > 9_000_000_000_000:
        return _short(value)
    moment = format_moment(round(value * 1000)).removesuffix("Z").replace("T", " ")
    return moment.rstrip("0").rstrip(".") + " +0000 UTC" if "." in moment else moment + " +0000 UTC"
