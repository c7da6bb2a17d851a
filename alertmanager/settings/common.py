"""Types that the parts of this section share: texts, secrets, URLs, addresses, durations, problems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer, SecretStr

from model.labels import LABEL_NAME
from model.moment import HOUR, MINUTE, SECOND, format_duration
from model.settings import Duration

PositiveDuration = Annotated[Duration, Field(gt=0)]

_GO_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": SECOND, "m": MINUTE, "h": HOUR}
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_HEADER_SPACE = re.compile(r"[\x00-\x20\x7f]")


def as_text(value: object) -> object:
    """A scalar as YAML's users write it where a text is meant: `2` for "2", `true` for "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value


Text = Annotated[str, BeforeValidator(as_text)]
"""A text; numbers and booleans are taken as they are written."""


def _as_secret(value: object) -> object:
    """A text, or an error that does not show what was there instead."""
    text = as_text(value)
    if not isinstance(text, str | SecretStr):
        raise ValueError("must be a text")
    return text


SecretText = Annotated[SecretStr, BeforeValidator(_as_secret)]
"""A text that is never shown."""


def no_empty(value: object) -> object:
    """None for an empty text."""
    return None if value == "" else value


File = Annotated[Path | None, BeforeValidator(no_empty)]
"""A file that holds a secret; an empty text is none, as in Alertmanager."""


def checked_url(value: str) -> str:
    """An absolute http or https URL as it is. Raises ValueError, which does not repeat a possible secret."""
    try:
        parts = urlsplit(value)
        host = parts.netloc.rpartition("@")[2]
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError("url must start with http:// or https://")
    if not host:
        raise ValueError("the URL has no host")
    if _HEADER_SPACE.search(value) or _BAD_ESCAPE.search(value):
        raise ValueError("is not a URL: it holds a space, a control character or a % that escapes nothing")
    return value


def _checked_secret_url(value: SecretStr) -> SecretStr:
    checked_url(value.get_secret_value())
    return value


def _checked_template_url(value: SecretStr) -> SecretStr:
    if "{{" not in value.get_secret_value():  # what a template makes of it is known when it is sent
        checked_url(value.get_secret_value())
    return value


URL = Annotated[str, AfterValidator(checked_url)]
"""An absolute http or https URL."""

SecretURL = Annotated[SecretText, AfterValidator(_checked_secret_url)]
"""An absolute http or https URL that is never shown: who knows it may send."""

SecretTemplateURL = Annotated[SecretText, AfterValidator(_checked_template_url)]
"""As SecretURL, or a template that makes one."""


def _checked_address(value: str) -> str:
    """Host and port, as Go's net.SplitHostPort takes them; "" is none."""
    host, colon, port = value.rpartition(":")
    if not value:
        return value
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(f"{value!r} is not an address: write host:port, for example mail.example:587")
    if not port:
        raise ValueError(f"{value!r} has no port: write for example {host}:587")
    return value


Address = Annotated[str, AfterValidator(_checked_address)]
"""`host:port`."""


def _go_duration(value: object) -> int:
    """Milliseconds of a duration as Go's time.ParseDuration reads it: `1.5h`, `90s`, `0`."""
    text = str(value)
    if text == "0":
        return 0
    parts = _GO_PART.findall(text)
    if isinstance(value, bool) or not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write for example 90s, 1m or 1h30m")
    return round(sum(float(number) * _GO_UNITS[unit] for number, unit in parts))


GoDuration = Annotated[int, BeforeValidator(_go_duration), PlainSerializer(format_duration, return_type=str)]
"""Milliseconds, written as Go writes durations (no days, fractions allowed)."""


TIMEOUT = 10 * SECOND
"""How long an integration may take unless told otherwise (ms)."""

Timeout = Annotated[GoDuration, AfterValidator(lambda value: value or TIMEOUT)]
"""An integration's `timeout`. 0, which is no limit in Alertmanager, is the default here: nothing may hang for
ever, since the next notification of the group waits for the answer to this one.
"""


def checked_classic_name(name: str) -> str:
    """A label name in the classic alphabet, which is all that `match` and its like take."""
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a label name: letters, digits and _ only; use matchers for others")
    return name


def checked_name(name: str) -> str:
    """A label name: any text but an empty one."""
    if not name:
        raise ValueError("a label name cannot be empty")
    return name


ClassicName = Annotated[str, AfterValidator(checked_classic_name)]
LabelName = Annotated[Text, AfterValidator(checked_name)]

Place = tuple[int | str, ...]
"""The keys and positions that lead to a value in the section."""


def at_most_one(holder: BaseModel, *names: str) -> None:
    """Raises ValueError if several of these keys are given."""
    given = [name for name in names if given_in(holder, name)]
    if len(given) > 1:
        raise ValueError(f"at most one of {' and '.join(names)} can be given")


def one_of(holder: BaseModel, *names: str) -> None:
    """Raises ValueError unless exactly one of these keys is given."""
    at_most_one(holder, *names)
    if not any(given_in(holder, name) for name in names):
        raise ValueError(f"one of {' and '.join(names)} must be given")


def given_in(holder: BaseModel, name: str) -> bool:
    """Whether a key holds something: an empty text is nothing, as in Alertmanager."""
    value = getattr(holder, name)
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
