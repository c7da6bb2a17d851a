"""The side file of a pack: what Fleetowl knows of an alert beyond the standard rule file.

Beside `serving.rules.yml` may lie `serving.fleetowl.yml`, a map of groups to alerts:

    engine-load:
      ServiceOverloaded:
        explains: [EngineQueue, EnginePreempting]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from model.document import read_yaml
from model.settings import ConfigurationError, Problem, Settings, load_section

_LATER = ("clear_expr", "deadline", "entity", "flap", "kind", "runbook")
"""Keys that are planned and not implemented: naming one is an error, never silence."""


class Extras(Settings):
    """What the side file says of one alert."""

    explains: tuple[str, ...] = Field(
        default=(),
        description="Only for an alert of a whole service: while it fires, these alerts of the service's "
        "replicas join its incident.",
    )


def side_file(path: Path) -> Path:
    """`gpu.rules.yml` has `gpu.fleetowl.yml` beside it."""
    stem = path.name.removesuffix(path.suffix).removesuffix(".rules")
    return path.with_name(f"{stem}.fleetowl.yml")


def is_side_file(path: Path) -> bool:
    """Whether its name says that it is one."""
    return path.name.endswith(".fleetowl.yml")


def load_side_file(path: Path, alerts: Mapping[str, set[str]]) -> dict[tuple[str, str], Extras]:
    """The extras by (group, alert); `alerts` holds what the rule file has.

    Raises ConfigurationError with all that is wrong in it.
    """
    if not path.exists():
        return {}
    document = read_yaml(path, as_text=True)
    extras: dict[tuple[str, str], Extras] = {}
    problems: list[Problem] = []
    for group, entries in _mapping(document, path, "", problems).items():
        if group not in alerts:
            problems.append(Problem(str(path), group, "the rule file has no such group", _known(alerts)))
            continue
        for alert, entry in _mapping(entries, path, group, problems).items():
            key = f"{group}.{alert}"
            if alert not in alerts[group]:
                hint = _known(alerts[group])
                problems.append(Problem(str(path), key, "the group has no such alert", hint))
                continue
            try:
                extras[group, alert] = _extras(_mapping(entry, path, key, problems), path, key)
            except ConfigurationError as error:
                problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return extras


def _extras(entry: Mapping[str, object], path: Path, key: str) -> Extras:
    later = [
        Problem(str(path), f"{key}.{name}", "is not implemented yet", "remove it until it is")
        for name in _LATER
        if name in entry
    ]
    if later:
        raise ConfigurationError(later)
    return load_section(Extras, entry, str(path), key)


def _mapping(value: object, path: Path, key: str, problems: list[Problem]) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    if value not in (None, ""):
        problems.append(Problem(str(path), key, "must be a map", "group: {alert: {explains: [...]}}"))
    return {}


def _known(names: Mapping[str, object] | set[str]) -> str:
    return f"it has: {', '.join(sorted(names))}" if names else ""
