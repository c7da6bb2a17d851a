"""The base of every room's settings: strict models, durations, secrets, and errors that say the way out."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails

from model.moment import format_duration, parse_duration


class _Milliseconds(int):
    """A duration as it was written, so that an error can show it as people write it."""

    def __repr__(self) -> str:
        return format_duration(self)


def _to_milliseconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a duration: write for example 15s, 5m or 1h30m")
    if isinstance(value, int):
        if value:
            raise ValueError(f"{value} has no unit: write {value}s or {value}m")
        return _Milliseconds(0)
    return _Milliseconds(parse_duration(value))


Duration = Annotated[
    int, BeforeValidator(_to_milliseconds), PlainSerializer(format_duration, return_type=str)
]
"""Milliseconds, written in the configuration as a Prometheus duration (`15s`)."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(value: object) -> int:
    """Bytes of a size as Prometheus means it: powers of 1024, however spelled.

    Raises ValueError with the way out if it is none.

    >>> parse_size("10MB"), parse_size("10MiB"), parse_size(10485760)
    (10485760, 10485760, 10485760)
    """
    found = _SIZE.fullmatch(str(value).strip())
    if isinstance(value, bool) or found is None:
        raise ValueError(f"{value!r} is not a size: write for example 500KB, 10MB or 1GB")
    return int(float(found[1]) * 1024 ** _POWERS[found[2]])


def format_size(size: int) -> str:
    """The shortest exact spelling.

    >>> format_size(16 << 20), format_size(1500), format_size(0)
    ('16MiB', '1500', '0')
    """
    for unit in "TGMK":
        count, rest = divmod(size, 1024 ** _POWERS[unit])
        if count and not rest:
            return f"{count}{unit}iB"
    return str(size)


Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str)]
"""Bytes, written in the configuration as a Prometheus size (`10MB`); units are powers of 1024."""


def parse_listen(value: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:9480`, `[::1]:9480` or `:9480` (host "": every address).

    Raises ValueError with the way out if it is none.
    """
    host, colon, port = value.rpartition(":")
    valid = colon and port.isascii() and port.isdigit() and int(port) <= 65_535
    if not valid or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(f"{value!r} is not an address: write host:port, for example 127.0.0.1:9480")
    return host.strip("[]"), int(port)


def _checked_listen(value: str) -> str:
    parse_listen(value)
    return value


Listen = Annotated[str, AfterValidator(_checked_listen)]
"""An address to listen on, as parse_listen reads it; port 0 takes a free one."""


_USERINFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def without_userinfo(text: str) -> str:
    """A text with the names and passwords in its URLs masked, in characters that a URL may have.

    >>> without_userinfo("proxy http://me:secret@proxy:3128/x")
    'proxy http://xxxxx@proxy:3128/x'
    """
    return _USERINFO.sub("xxxxx@", text)


class Settings(BaseModel):
    """A section of the configuration: unknown keys are errors, values do not change after loading.

    Defaults are given in milliseconds where the field is a Duration (they are not validated).
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys that a section no longer has, and what each of them is called now."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def __repr__(self) -> str:
        return without_userinfo(super().__repr__())

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where, what, and the way out."""

    file: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigurationError(Exception):
    """Everything that is wrong with what was configured, at once. Ends the process with exit status 2."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


Section = TypeVar("Section", bound=Settings)


def load_section(model: type[Section], data: Mapping[str, Any], file: str, key: str = "") -> Section:
    """`data` as settings of type `model`. Raises ConfigurationError with all that is wrong in it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(problems_of(error, model, file, key)) from error


_NAMES_OF_UNIONS = re.compile(
    r"function-\w+.*|literal\[.*|list\[.*|dict\[.*|tuple\[.*|\[key\]|[A-Z]\w*Settings"
)
"""What pydantic puts into a place that no key of the file is."""

_MUST_BE = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "date_type": "a date, for example 2026-12-24",
    "date_parsing": "a date, for example 2026-12-24",
    "date_from_datetime_parsing": "a date, for example 2026-12-24",
    "path_type": "a path",
}
"""Pydantic's types of errors, and what the user should have written."""

_NO_VALUE_SHOWN = ("a mapping", "a list", "a text")

_COUNT = re.compile(r"\w+ should have (at \w+ (\d+) \w+)(?: after validation, not (\d+))?")
_SHOWN = 80
"""So many characters of a wrong value are shown."""


def problems_of(error: ValidationError, model: type[BaseModel], file: str, prefix: str = "") -> list[Problem]:
    """What pydantic found, as problems with a dotted key and a did-you-mean for unknown keys."""
    problems: list[Problem] = []
    for found in error.errors():
        path = tuple(part for part in found["loc"] if not _NAMES_OF_UNIONS.fullmatch(str(part)))
        key = ".".join(filter(None, [prefix, *map(str, path)]))
        message, hint = _message(found["type"], _said(found), found["input"]), ""
        if found["type"] == "extra_forbidden":
            message, hint = "unknown key", _key_hint(model, path, key)
        if problems and path != found["loc"] and problems[-1].key == key:
            message = _either(problems.pop().message, message)
        problems.append(Problem(file, key, message, hint))
    return problems


def _message(kind: str, said: str, value: object) -> str:
    """What is wrong, in words that need no knowledge of the library."""
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        message, text = said.removeprefix("Value error, "), repr(value)
        return message.replace(text, shown(value)) if len(text) > 2 * _SHOWN else message
    if kind in _MUST_BE:
        # A text that stands where a section should may be the secret of that section.
        got = _kind(value) if _MUST_BE[kind] in _NO_VALUE_SHOWN else shown(value)
        return f"must be {_MUST_BE[kind]}, got {got}"
    count = _COUNT.fullmatch(said)
    if count is not None:
        if value in ("", [], ()):
            return "must not be empty"
        return f"must have {count[1]}, got {count[3] or shown(value)}"
    return f"{said.replace('Input should', 'must', 1)}, got {shown(value)}"


def _said(found: ErrorDetails) -> str:
    """What pydantic says, with the bound of a duration as people write it."""
    said = found["msg"]
    if isinstance(found["input"], _Milliseconds):
        for bound in found.get("ctx", {}).values():
            said = said.replace(f" {bound}", f" {format_duration(bound)}")
    return said


def _either(one: str, other: str) -> str:
    """Where one of several would do: what each of them wants."""
    wanted, comma, got = one.rpartition(", got ")
    if not (comma and other.startswith("must be ")):
        return f"{one}, or: {other}"
    return f"{wanted} or {other.removeprefix('must be ').rpartition(', got ')[0]}, got {got}"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else shown(value)


def shown(value: object) -> str:
    """A wrong value as errors show it: a long one is cut, of what holds others only its kind is said.

    >>> shown("x" * 100)[-8:], shown([1]), shown({}), shown(None), shown("5s")
    ("xxxx'...", 'a list', 'a mapping', 'nothing', "'5s'")
    """
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}..."
    text = repr(value)
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]}..."


def _key_hint(model: type[BaseModel], path: tuple[int | str, ...], key: str) -> str:
    known: list[str] = []
    current: Any = model
    for part in path[:-1]:
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            fields = {field.alias or name: field for name, field in current.model_fields.items()}
            current = _model_in(fields[part].annotation) if part in fields else None
    if isinstance(current, type) and issubclass(current, BaseModel):
        known = [field.alias or name for name, field in current.model_fields.items()]
        now = current.renamed.get(str(path[-1])) if issubclass(current, Settings) else None
        if now is not None:
            return f"it is now {key.removesuffix(str(path[-1]))}{now}"
    return did_you_mean(str(path[-1]), known, "keys")


def did_you_mean(name: str, known: Collection[str], what: str) -> str:
    """The hint for a name that is none of those known; `what` they are, in the plural.

    >>> did_you_mean("analyzr", ["agent", "analyzer"], "sections"), did_you_mean("x", ["b", "a"], "keys")
    ('did you mean analyzer?', 'known keys: a, b')
    """
    # Long names are alike by chance: kubernetes_sd_configs is no slip of file_sd_configs.
    alike = 0.6 if len(name) < 8 else 0.8
    close = difflib.get_close_matches(name, known, n=1, cutoff=alike)
    if close:
        return f"did you mean {close[0]}?"
    return f"known {what}: {', '.join(sorted(known))}" if known else ""


def _model_in(annotation: Any) -> Any:
    """The settings model inside `list[X]`, `X | None` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        inner = _model_in(part)
        if inner is not None:
            return inner
    return None


def default_state_directory() -> Path:
    """Where the state lies unless configured: systemd's state directory, else the user's."""
    systemd = os.environ.get("STATE_DIRECTORY")
    if systemd:
        return Path(systemd.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "fleetowl"


def read_secret(value: SecretStr | None, file: Path | None) -> str | None:
    """A secret that may stand in the configuration or in a file of its own; trailing newline dropped.

    Raises OSError if the file cannot be read.
    """
    if file is not None:
        return file.read_text().rstrip("\r\n")
    return value.get_secret_value() if value is not None else None
