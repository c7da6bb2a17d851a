"""One YAML file with a section per room. Everything that is wrong in it is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from agent.settings import AgentSettings
from analyzer.central import CentralSettings
from fleetowl.document import name_of, read
from model.settings import load_section


class Configuration(CentralSettings):
    """The whole file: the rooms of the central process, and the agent of this node."""

    agent: AgentSettings = Field(default_factory=AgentSettings, description="The node agent.")


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration in `path` (defaults where None), with the environment on top.

    Raises ConfigurationError with every problem in it.
    """
    return load_section(Configuration, read(path, environment), name_of(path))
