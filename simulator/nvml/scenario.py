"""Scenario files: which GPUs there are, and what happens to them when."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import Field

from model.document import read_yaml
from model.settings import ConfigurationError, Problem, Settings, did_you_mean, load_section
from simulator.nvml.actions import Event, faults_of
from simulator.nvml.profile import Load, profile_names, read_profile
from simulator.nvml.stub import Stub
from simulator.nvml.symbols import number_of
from simulator.nvml.table import MAX_GPUS
from simulator.nvml.values import check_names


class Machine(Settings):
    """Which GPUs."""

    count: int = Field(8, ge=0, le=MAX_GPUS)
    profile: str = "h100"
    load: Load = "idle"
    seed: int = Field(0, ge=0, le=99)
    """Other identities for another seed, and other noise."""


class Driver(Settings):
    """Which driver."""

    version: str = "570.86.15"
    old: bool = False
    """Without all calls that are newer than branch 450."""
    without: list[str] = Field(default_factory=list)
    """Calls that it does not have."""


class Scenario(Settings):
    """A story of GPUs."""

    description: str
    gpus: Machine = Machine()
    driver: Driver = Driver()
    kmsg: Path | None = None
    """File that the kernel's lines of XIDs are appended to."""
    noise: dict[str, float] = Field(default_factory=dict)
    """By value: how far at most it is off what was set, anew each second."""
    events: list[Event]

    def timeline(self) -> list[tuple[float, Event]]:
        """What happens when, with every repetition, in order."""
        expanded = [
            (event.at + number * (event.repeat.every if event.repeat else 0), event)
            for event in self.events
            for number in range(event.repeat.times if event.repeat else 1)
        ]
        return sorted(expanded, key=lambda entry: entry[0])

    def stub(self, folder: Path, *, cache: Path | None = None, stepped: bool = False) -> Stub:
        """The driver as the scenario begins. Raises what building it raises."""
        return Stub(
            folder,
            self.gpus.count,
            self.gpus.profile,
            load=self.gpus.load,
            cache=cache,
            without=self.driver.without,
            old=self.driver.old,
            driver=self.driver.version,
            stepped=stepped,
            seed=self.gpus.seed,
        )


def scenario_names() -> list[str]:
    """Of the scenarios that are shipped, sorted."""
    names = (entry.name for entry in files("simulator.nvml.scenarios").iterdir())
    return sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml"))


def find_scenario(name: str) -> Path | Traversable:
    """The file of a shipped scenario by its name, or the file of that path.

    Raises ConfigurationError, with the nearest name, if there is neither.
    """
    if name in scenario_names():
        return files("simulator.nvml.scenarios") / f"{name}.yml"
    if Path(name).is_file():
        return Path(name)
    hint = did_you_mean(name, scenario_names(), "scenarios")
    raise ConfigurationError([Problem(name, "", "no such scenario and no such file", hint)])


def load_scenario(path: Path | Traversable) -> Scenario:
    """A scenario file. Raises ConfigurationError with all that is wrong in it."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigurationError([Problem(str(path), "", "is not a mapping", "begin with `description:`")])
    events = data.get("events")
    told, problems = _load_events(events, str(path)) if isinstance(events, list) else ({}, [])
    try:
        # The events are loaded one by one, so that one which is wrong does not hide what is wrong elsewhere.
        rest = data | {"events": []} if isinstance(events, list) else data
        scenario = load_section(Scenario, rest, str(path))
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *problems]) from error
    problems += _faults(scenario, told, str(path))
    scenario = scenario.model_copy(update={"events": list(told.values())})
    problems += _missing_parts(scenario, {id(event): index for index, event in told.items()}, str(path))
    if problems:
        raise ConfigurationError(problems)
    return scenario


def _load_events(events: list[Any], file: str) -> tuple[dict[int, Event], list[Problem]]:
    told: dict[int, Event] = {}
    problems: list[Problem] = []
    for index, event in enumerate(events):
        try:
            told[index] = load_section(Event, event, file, f"events.{index}")
        except ConfigurationError as error:
            problems += error.problems
    return told, problems


def _faults(scenario: Scenario, events: dict[int, Event], file: str) -> Iterator[Problem]:
    machine = scenario.gpus
    if machine.profile not in profile_names():
        hint = did_you_mean(machine.profile, profile_names(), "profiles")
        yield Problem(file, "gpus.profile", f"no such profile: {machine.profile!r}", hint)
        return
    for call in scenario.driver.without:
        try:
            number_of(call)
        except ValueError as error:
            yield Problem(file, "driver.without", str(error))
    for name in scenario.noise:
        try:
            check_names([name])
        except ValueError as error:
            yield Problem(file, f"noise.{name}", str(error))
    profile = read_profile(machine.profile)
    for index, event in events.items():
        for place, message in faults_of(event, machine.count, profile):
            yield Problem(file, ".".join(filter(None, [f"events.{index}", place])), message)


def _missing_parts(scenario: Scenario, numbers: dict[int, int], file: str) -> list[Problem]:
    """Events that name a MIG device which is not there at that time, each once."""
    parts = dict.fromkeys(range(scenario.gpus.count), 0)
    found: dict[str, Problem] = {}
    for _, event in scenario.timeline():
        for gpu in event.targets(scenario.gpus.count):
            if event.mig is not None:
                parts[gpu] = len(event.mig)
            for place, index in event.parts_named.items():
                if index >= parts.get(gpu, 0):
                    key = f"events.{numbers[id(event)]}.{place}"
                    message = f"GPU {gpu} has {parts.get(gpu, 0)} MIG devices at that time, no {index}"
                    found.setdefault(key, Problem(file, key, message, "divide it before with `mig`"))
    return list(found.values())
