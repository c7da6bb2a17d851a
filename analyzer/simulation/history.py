"""Recorded alerts: JSON lines `{"at": ..., "alert": {...}, "fault": ...}`.

`at` is RFC 3339 or Unix seconds (ms where greater than 1e11). `alert` is what a sender posts to
Alertmanager's API v2 (labels, annotations, startsAt, endsAt, generatorURL), with `status: resolved` for
one that has ended, or the label map alone. `fault` names what truly went wrong, or several such things;
null is an alert that no fault stands behind.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from model.alert import Alert
from model.labels import Labels
from model.moment import SECOND, parse_moment
from model.settings import ConfigurationError, Problem

MILLISECONDS_ABOVE = 1e11
"""A number greater than this is ms: as seconds it were the year 5138."""

_ALERT_KEYS = {"labels", "annotations", "startsAt", "endsAt", "generatorURL", "status", "fingerprint"}
_LINE_KEYS = {"at", "alert", "fault"}
_UNSAID = "0001-01-01T00:00:00"
"""How Go writes a time that nobody has set."""
_FARTHEST = 1e13
"""Moments (ms) up to the year 2286; what is beyond is a mistake."""


@dataclass(frozen=True, slots=True)
class Line:
    """An alert as it came in at `at` (ms), and which faults it tells of."""

    at: int
    alert: Alert
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """The lines in the order of their moments; `warnings` say what was put right."""

    lines: tuple[Line, ...]
    warnings: tuple[str, ...] = ()


def read_history(path: Path) -> History:
    """The history in a file. Raises ConfigurationError that names every line that cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
    return parse_history(text.split(b"\n"), str(path))


def parse_history(lines: Iterable[bytes | str], name: str = "history") -> History:
    """The history in these lines; empty ones are passed over. Raises ConfigurationError as read_history."""
    reader = _Reader()
    found, problems = [], []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            found.append(reader.line(text))
        except ValueError as error:
            problems.append(Problem(name, f"line {number}", str(error)))
    if not found and not problems:
        problems.append(
            Problem(name, "", "holds no alert", 'a line is {"at": ..., "alert": {...}, "fault": null}')
        )
    if problems:
        raise ConfigurationError(problems)
    return in_order(found)


def in_order(lines: Iterable[Line]) -> History:
    """The lines sorted by their moments, with a warning where they were not."""
    given = list(lines)
    ordered = sorted(given, key=lambda line: line.at)
    late = sum(line.at < before.at for before, line in pairwise(given))
    if not late:
        return History(tuple(given))
    count = "1 line is" if late == 1 else f"{late} lines are"
    return History(tuple(ordered), (f"{count} older than the line before: all were sorted by `at`",))


class _Reader:
    """Reads lines; equal label sets become one object, so that each is hashed once."""

    def __init__(self) -> None:
        self._labels: dict[tuple[tuple[str, str], ...], Labels] = {}

    def line(self, text: bytes | str) -> Line:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"is a {type(found).__name__}, not an object with `at` and `alert`")
        if missing := [key for key in ("at", "alert") if key not in found]:
            raise ValueError(f"has no {' and no '.join(missing)}")
        if unknown := sorted(found.keys() - _LINE_KEYS):
            raise ValueError(f"has the unknown key {unknown[0]!r}: known are at, alert and fault")
        at = moment_of(found["at"], "at")
        return Line(at, self._alert(found["alert"], at), tuple(_faults(found.get("fault"))))

    def _alert(self, found: Any, at: int) -> Alert:
        if not isinstance(found, dict):
            raise ValueError(f"alert is a {type(found).__name__}, not an object")
        if not isinstance(found.get("labels"), dict):
            return Alert(self._label_set(found), starts_at=at)
        if unknown := sorted(found.keys() - _ALERT_KEYS):
            raise ValueError(f"alert has the unknown key {unknown[0]!r}: known are {_listed(_ALERT_KEYS)}")
        status = found.get("status", "firing")
        if status not in ("firing", "resolved"):
            raise ValueError(f"alert.status is {status!r}: it is firing or resolved")
        ends_at = _optional(found, "endsAt")
        if status == "resolved":
            ends_at = at if ends_at is None else min(ends_at, at)
        starts_at = _optional(found, "startsAt")
        if starts_at is None:
            starts_at = at if ends_at is None else min(ends_at, at)
        return Alert(
            labels=self._label_set(found["labels"]),
            annotations=_texts(found.get("annotations") or {}, "annotations"),
            starts_at=starts_at,
            ends_at=ends_at,
            generator_url=str(found.get("generatorURL") or ""),
        )

    def _label_set(self, found: Mapping[str, Any]) -> Labels:
        pairs = tuple(sorted(_texts(found, "labels").items()))
        known = self._labels.get(pairs)
        if known is None:
            known = self._labels[pairs] = Labels(pairs)
        if not known:
            raise ValueError("alert has no labels: one of them says what it is, as alertname")
        return known


def moment_of(value: Any, key: str) -> int:
    """Milliseconds of RFC 3339 text, or of a number: seconds, above 1e11 ms. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{key} is {value!r}: write RFC 3339 or Unix seconds")
    try:
        number = float(value)
    except ValueError:
        return parse_moment(str(value))
    except OverflowError:
        number = math.inf
    milliseconds = number if abs(number) > MILLISECONDS_ABOVE else number * SECOND
    if not 0 <= milliseconds <= _FARTHEST:
        raise ValueError(f"{key} is {value!r}: that is no time between 1970 and 2286")
    return round(milliseconds)


def _optional(found: Mapping[str, Any], key: str) -> int | None:
    value = found.get(key)
    if value is None or value == "" or (isinstance(value, str) and value.startswith(_UNSAID)):
        return None
    return moment_of(value, f"alert.{key}")


def _texts(found: Any, key: str) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError(f"alert.{key} is a {type(found).__name__}, not an object")
    for name, value in found.items():
        if not isinstance(value, str):
            raise ValueError(f"alert.{key}.{name} is {value!r}, not text")
    return found


def _faults(found: Any) -> Iterator[str]:
    for fault in found if isinstance(found, list) else [] if found is None else [found]:
        if isinstance(fault, bool) or not isinstance(fault, str | int):
            raise ValueError(f"fault is {fault!r}: it is a name, several names, or null")
        yield str(fault)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
