"""One YAML file with a section per room. Everything that is wrong in it is said at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from agent.settings import AgentSettings
from alertmanager.configuration_file import is_alertmanagers, load_named, load_sound, routed_somewhere
from alertmanager.settings import AlertmanagerSettings
from analyzer.central import CentralSettings
from fleetowl.document import SECTIONS, blamed, name_of, read
from model.settings import ConfigurationError, Problem, load_section
from model.sound import sound_part


class Configuration(CentralSettings):
    """The whole file: the rooms of the central process, and the agent of this node."""

    agent: AgentSettings = Field(default_factory=AgentSettings, description="The node agent.")


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration in `path` (defaults where None), with the environment on top.

    What `alertmanager.config_file` names is read too, so a reload takes a change of it over.

    Raises ConfigurationError with every problem in it.
    """
    data, name = read(path, environment), name_of(path)
    if is_alertmanagers(data) and data.keys().isdisjoint(SECTIONS):
        hint = f"write a fleetowl.yml that names it: alertmanager: {{config_file: {name}}}"
        raise ConfigurationError([Problem(name, "", "this is an alertmanager.yml", hint)])
    whole = dict(data)
    problems: list[Problem] = []
    section = data.get("alertmanager")
    if isinstance(section, dict) and section.get("config_file") is not None:
        try:
            data["alertmanager"] = load_named(section, name)
        except ConfigurationError as error:
            problems += error.problems
            del data["alertmanager"]
    try:
        configuration = load_section(Configuration, data, name)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        found = [*problems, *_problems_beside(whole, name)]
        raise ConfigurationError(blamed(found, path, environment))
    return configuration.of_file(name)


def _problems_beside(data: dict[str, Any], name: str) -> Iterator[Problem]:
    """What else is wrong in a file that cannot be taken: all that would be found once the rest is mended."""
    from analyzer.assembly import problems_of_own_files, problems_of_rest

    section = data.pop("alertmanager", None)
    receivers, found = _receivers(section or {}, name)
    yield from found
    rest = sound_part(Configuration, data)
    if rest is not None:
        settings = rest.settings.of_file(name)
        yield from rest.beside(name, problems_of_rest(settings, receivers))
        yield from problems_of_own_files(settings)


def _receivers(section: Any, name: str) -> tuple[list[str] | None, list[Problem]]:
    """The names of the receivers, None where they cannot be read, and what is wrong with those that can."""
    from analyzer.assembly import problems_of_alertmanager

    if not isinstance(section, dict):
        return None, []
    named = section.get("config_file")
    if named is None:
        alerting = sound_part(AlertmanagerSettings, routed_somewhere(section), "alertmanager")
    else:
        alerting = load_sound(Path(str(named)), section)
    if alerting is None:
        return None, []
    file = name if named is None else str(named)
    found = list(alerting.beside(file, problems_of_alertmanager(alerting.settings, name)))
    listed = alerting.data.get("receivers") or [{"name": one.name} for one in alerting.settings.receivers]
    return [str(one["name"]) for one in listed if isinstance(one, dict) and "name" in one], found
