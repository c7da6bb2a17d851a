"""Silences for a simulation: a JSON list as `amtool silence query -o json` prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alertmanager.silences.silence import Draft
from analyzer.simulation.history import moment_of
from model.matcher import Matcher, Op
from model.settings import ConfigurationError, Problem

_OPS = {
    (False, True): Op.EQUAL,
    (False, False): Op.NOT_EQUAL,
    (True, True): Op.MATCHES,
    (True, False): Op.NOT_MATCHES,
}
"""By isRegex and isEqual."""


def read_silences(path: Path) -> list[Draft]:
    """The silences in a file. Raises ConfigurationError that names each that cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError([Problem(str(path), "", f"cannot be read: {error}")]) from error
    if not isinstance(found, list):
        message = f"holds a {type(found).__name__}, not a list of silences"
        raise ConfigurationError([Problem(str(path), "", message)])
    drafts, problems = [], []
    for position, one in enumerate(found):
        try:
            drafts.append(_draft(one))
        except (ValueError, KeyError, TypeError) as error:
            why = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            problems.append(Problem(str(path), f"silence {position}", why))
    if problems:
        raise ConfigurationError(problems)
    return drafts


def _draft(found: Any) -> Draft:
    if not isinstance(found, dict):
        raise ValueError(f"is a {type(found).__name__}, not an object")
    matchers = tuple(
        Matcher(
            str(one["name"]),
            _OPS[bool(one.get("isRegex", False)), bool(one.get("isEqual", True))],
            str(one["value"]),
        )
        for one in found["matchers"]
    )
    return Draft(
        matchers,
        moment_of(found["startsAt"], "startsAt"),
        moment_of(found["endsAt"], "endsAt"),
        str(found.get("createdBy", "")),
        str(found.get("comment", "")),
    )
