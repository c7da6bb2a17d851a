"""One YAML file with a section per room. Everything that is wrong in it is said at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from agent.settings import AgentSettings
from pydantic import Field

from analyzer.central import CentralSettings
from model.settings import ConfigurationError, Problem, load_section

ENVIRONMENT_PREFIX = "FLEETOWL_"


class Configuration(CentralSettings):
    """The whole file: the rooms of the central process, and the agent of this node."""

    agent: AgentSettings = Field(default_factory=AgentSettings, description="The node agent.")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the last one's silent victory."""


def _unique_mapping(loader: _UniqueKeys, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration in `path` (defaults where None), with FLEETOWL_SECTION__KEY on top.

    Raises ConfigurationError with every problem in it.
    """
    name = str(path) if path else "environment"
    data = _read(path) if path else {}
    overlay(data, os.environ if environment is None else environment)
    return load_section(Configuration, data, name)


def overlay(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Lay FLEETOWL_ANALYZER__LISTEN=... over the file's `analyzer: {listen: ...}`."""
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        *sections, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        inner = data
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = yaml.safe_load(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(), _UniqueKeys)  # noqa: S506 - a SafeLoader, with unique keys
    except OSError as error:
        hint = "give the path of the configuration with --config"
        raise ConfigurationError([Problem(str(path), "", error.strerror or str(error), hint)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(str(path), "", f"is not YAML: {error}")]) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        message = f"holds a {type(data).__name__}, not sections"
        raise ConfigurationError([Problem(str(path), "", message, "start with for example `analyzer:`")])
    return data
