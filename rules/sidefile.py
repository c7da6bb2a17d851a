"""The side file of a pack: what Fleetowl knows of an alert beyond the standard rule file.

Beside `serving.rules.yml` may lie `serving.fleetowl.yml`, a map of groups to alerts:

    engine-load:
      ServiceOverloaded:
        explains: [EngineQueue, EnginePreempting]
        clear_expr: sum by (service) (queue) < 5
        flap: {changes: 4, within: 30m, hold: 15m}
        deadline: 10m
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from model.alert import KINDS
from model.document import read_yaml
from model.settings import ConfigurationError, Duration, Problem, Settings, did_you_mean, load_section

ENTITIES = ("gpu", "node", "rack", "replica", "service", "cluster")
"""What an alert can be about, as the topology names it."""


def _without_weight(expression: str) -> str:
    from rules.weight import without_weight

    return without_weight(expression)


def _one_of(known: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value and value not in known:
            raise ValueError(f"{value!r} is not known ({did_you_mean(value, known, 'names')})")
        return value

    return AfterValidator(check)


class Flap(Settings):
    """When an alert counts as flapping, and for how long it is then held."""

    changes: int = Field(ge=2, description="How often it fired or resolved within `within`.")
    within: Duration = Field(gt=0, description="The time in which the changes are counted.")
    hold: Duration = Field(gt=0, description="It is held firing until it has not changed for so long.")


class Extras(Settings):
    """What the side file says of one alert."""

    explains: tuple[str, ...] = Field(
        default=(),
        description="Only for an alert of a whole service: while it fires, these alerts of the service's "
        "replicas join its incident.",
    )
    clear_expr: Annotated[str, AfterValidator(_without_weight)] = Field(
        default="",
        description="PromQL: an alert that fires goes on until this yields a row for it.",
    )
    flap: Flap | None = Field(
        default=None, description="Hold an alert that fires and resolves again and again."
    )
    kind: Annotated[str, _one_of(KINDS)] = Field(
        default="", description="threshold, trend, anomaly or business; the label `kind` wins."
    )
    deadline: Duration = Field(
        default=0,
        description="Within what time a person must answer; default the stricter of tier and kind.",
    )
    entity: Annotated[str, _one_of(ENTITIES)] = Field(
        default="", description="What it is about: gpu, node, rack, replica, service or cluster."
    )
    runbook: str = Field(default="", description="Name of the runbook that answers it.")


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
            hint = did_you_mean(group, alerts, "groups")
            problems.append(Problem(str(path), group, "the rule file has no such group", hint))
            continue
        for alert, entry in _mapping(entries, path, group, problems).items():
            key = f"{group}.{alert}"
            if alert not in alerts[group]:
                hint = did_you_mean(alert, alerts[group], "alerts")
                problems.append(Problem(str(path), key, "the group has no such alert", hint))
                continue
            try:
                known = _mapping(entry, path, key, problems)
                extras[group, alert] = load_section(Extras, known, str(path), key)
            except ConfigurationError as error:
                problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return extras


def _mapping(value: object, path: Path, key: str, problems: list[Problem]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value not in (None, ""):
        problems.append(Problem(str(path), key, "must be a map", "group: {alert: {explains: [...]}}"))
    return {}
