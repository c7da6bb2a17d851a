"""The side file of a pack: what Fleetowl knows of an alert beyond the standard rule file.

Beside `gpu.rules.yml` lies `gpu.fleetowl.yml`, a map of groups to alerts:

    gpu-lost:
      GpuLost:
        entity: {kind: gpu, label: UUID}
        explains: [EngineStalled, EngineGone]
        runbook: gpu-lost
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from model.settings import ConfigurationError, Problem, Settings, load_section
from rules.document import read_document

_LATER = ("clear_expr", "flap", "kind", "deadline")
"""Keys of the design that are not implemented: naming one is an error, never silence."""


class EntityReference(Settings):
    """Which thing of the cluster an alert is about."""

    kind: Literal["cluster", "rack", "node", "gpu", "replica", "service"] = Field(
        description="The kind of entity that is ill."
    )
    label: str = Field(min_length=1, description="The label of the alert that names it, for example `UUID`.")


class Extras(Settings):
    """What the side file says of one alert."""

    entity: EntityReference | None = Field(default=None, description="What the alert is about.")
    explains: tuple[str, ...] = Field(
        default=(),
        description="Alerts that this one explains where a topology edge joins them; they do not page then.",
    )
    runbook: str = Field(default="", description="The runbook that answers this alert.")


def side_file(path: Path) -> Path:
    """`gpu.rules.yml` has `gpu.fleetowl.yml` beside it."""
    stem = path.name.removesuffix(path.suffix).removesuffix(".rules")
    return path.with_name(f"{stem}.fleetowl.yml")


def load_side_file(path: Path, alerts: Mapping[str, set[str]]) -> dict[tuple[str, str], Extras]:
    """The extras by (group, alert); `alerts` holds what the rule file has.

    Raises ConfigurationError with all that is wrong in it.
    """
    if not path.exists():
        return {}
    document = read_document(path)
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
        problems.append(Problem(str(path), key, "must be a map", "group: {alert: {entity: ..., ...}}"))
    return {}


def _known(names: Mapping[str, object] | set[str]) -> str:
    return f"it has: {', '.join(sorted(names))}" if names else ""
