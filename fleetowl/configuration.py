"""One YAML file with a section per room. Everything that is wrong in it is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from agent.settings import AgentSettings
from alertmanager.configuration_file import load_named
from analyzer.central import CentralSettings
from fleetowl.document import name_of, read
from model.settings import ConfigurationError, Problem, load_section


class Configuration(CentralSettings):
    """The whole file: the rooms of the central process, and the agent of this node."""

    agent: AgentSettings = Field(default_factory=AgentSettings, description="The node agent.")


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration in `path` (defaults where None), with the environment on top.

    What `alertmanager.config_file` names is read too, so a reload takes a change of it over.

    Raises ConfigurationError with every problem in it.
    """
    data = read(path, environment)
    problems: list[Problem] = []
    section = data.get("alertmanager")
    if isinstance(section, dict) and section.get("config_file") is not None:
        try:
            data["alertmanager"] = load_named(section, name_of(path))
        except ConfigurationError as error:
            problems += error.problems
            del data["alertmanager"]
    try:
        configuration = load_section(Configuration, data, name_of(path))
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return configuration
