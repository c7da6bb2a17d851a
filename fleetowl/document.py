"""The configuration file as a document, the environment laid over it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from model.document import read_yaml
from model.settings import ConfigurationError, Problem, did_you_mean, load_section

if TYPE_CHECKING:
    from agent.settings import AgentSettings

ENVIRONMENT_PREFIX = "FLEETOWL_"

SECTIONS = (
    "analyzer",
    "telemetry",
    "scrape_configs",
    "detectors",
    "rules",
    "alertmanager",
    "incidents",
    "runbooks",
    "agent",
)
"""Every section of the file. The agent knows their names without loading the rooms behind them."""


def read(path: Path | None, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The sections in `path` (none where None), with FLEETOWL_SECTION__KEY on top.

    Raises ConfigurationError if the file is not there or not a mapping in YAML.
    """
    data = _read_file(path) if path else {}
    _overlay(data, os.environ if environment is None else environment)
    return data


def name_of(path: Path | None) -> str:
    """How errors call the source of the configuration."""
    return str(path) if path else "environment"


def blamed(
    problems: Iterable[Problem], path: Path | None, environment: Mapping[str, str] | None
) -> list[Problem]:
    """Those of what a variable of the environment has set say its name, not that of the file beneath."""
    name = name_of(path)
    variables = {".".join(keys): variable for variable, keys in _variables(environment)}
    found = []
    for problem in problems:
        keys = [key for key in variables if f"{problem.key}.".startswith(f"{key}.")]
        if keys and problem.file == name:
            problem = replace(problem, file=f"environment variable {variables[max(keys, key=len)]}")
        found.append(problem)
    return found


def load_agent(path: Path | None, environment: Mapping[str, str] | None = None) -> AgentSettings:
    """The section `agent` alone: a node has only what the agent needs. Raises ConfigurationError."""
    from agent.settings import AgentSettings

    data, name = read(path, environment), name_of(path)
    unknown = [str(key) for key in data if key not in SECTIONS]
    problems = [Problem(name, key, "unknown key", did_you_mean(key, SECTIONS, "keys")) for key in unknown]
    settings = AgentSettings()
    try:
        settings = load_section(AgentSettings, data.get("agent") or {}, name, "agent")
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(blamed(problems, path, environment))
    return settings


def _overlay(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Lay FLEETOWL_ANALYZER__LISTEN=... over the file's `analyzer: {listen: ...}`."""
    for variable, (*sections, key) in _variables(environment):
        inner = data
        for section in sections:
            deeper = inner.get(section)
            if not isinstance(deeper, dict):
                deeper = inner[section] = {}
            inner = deeper
        inner[key] = yaml.safe_load(environment[variable])


def _variables(environment: Mapping[str, str] | None) -> Iterator[tuple[str, list[str]]]:
    """The variables that set something, and the keys that lead to it."""
    for variable in os.environ if environment is None else environment:
        if variable.startswith(ENVIRONMENT_PREFIX) and "__" in variable:
            yield variable, variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")


def _read_file(path: Path) -> dict[str, Any]:
    data = read_yaml(path)
    if data is None:
        return {}
    if not isinstance(data, dict):
        message = f"holds a {type(data).__name__}, not sections"
        raise ConfigurationError([Problem(str(path), "", message, "start with for example `analyzer:`")])
    return data
