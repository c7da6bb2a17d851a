"""Fault files: what a fault does to the model, how it ends, and the truth that an evaluation compares with.

A file sets variables of the model (`simulator.variables`), not metrics: what the metrics then show is
the model's answer. Times that are shorter than in a real cluster stand under `compressed`, with the
reason, and are in force because they stand there; so a demo that prints them says what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from model.document import read_yaml
from model.settings import ConfigurationError, Problem, Settings, load_section
from simulator.ranges import DurationRange, format_durations
from simulator.settings import DelaySettings
from simulator.variables import Variable, variable_named

Condition = Literal["node_cordoned", "replica_restarted"]
Kind = Literal["gpu", "replica", "node", "rack", "service"]


def _value(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), float(value)
    if isinstance(value, list):
        if len(value) != 2 or not all(type(end) in (int, float) for end in value) or value[0] > value[1]:
            raise ValueError(f"{value!r} is not a range: write [low, high]")
        return float(value[0]), float(value[1])
    return value


class Target(Settings):
    """What the fault befalls."""

    kind: Kind = Field(description="Kind of entity.")
    serving: bool = Field(True, description="Choose among those that carry a replica of the service.")


class Effect(Settings):
    """One change of one variable of the model."""

    variable: str = Field(description="Which variable, for example `gpu.cooling`.")
    to: Annotated[bool | str | tuple[float, float], BeforeValidator(_value)] = Field(
        description="Its value: true/false, a word, a number, or [low, high] to draw from per episode."
    )
    after: DurationRange = Field((0, 0), description="Time from the onset to the change.")
    over: DurationRange = Field((0, 0), description="How long the change takes; 0 = a step.")
    shape: Literal["linear", "exponential"] = Field("linear", description="How it goes if it takes time.")
    restores: bool = Field(True, description="Whether recovery puts the former value back.")
    says: str = Field(description="The sentence for the log, as a predicate of the entity.")

    @model_validator(mode="after")
    def _fits_variable(self) -> Effect:
        variable = variable_named(self.variable)
        fits = {
            "number": isinstance(self.to, tuple),
            "switch": isinstance(self.to, bool),
            "word": self.to in variable.words,
        }[variable.kind]
        if not fits:
            wanted = {"number": "a number or [low, high]", "switch": "true or false"}.get(
                variable.kind, f"one of {', '.join(variable.words)}"
            )
            raise ValueError(f"{self.variable} cannot be {self.to!r}: write {wanted}")
        if self.over != (0, 0) and variable.kind != "number":
            raise ValueError(f"{self.variable} changes at once: leave out `over`")
        return self

    @property
    def declared(self) -> Variable:
        """The variable behind the name."""
        return variable_named(self.variable)


class Compressed(Settings):
    """A delay of the cluster that this fault shortens, said openly."""

    delay: str = Field(description="Which delay of the cluster (a field of DelaySettings).")
    real: DurationRange = Field(alias="from", description="What it takes in a real cluster.")
    to: DurationRange = Field(description="What it takes in the simulation while the fault lasts.")
    why: str = Field(description="Why it is shortened.")

    @model_validator(mode="after")
    def _known(self) -> Compressed:
        if self.delay not in DelaySettings.model_fields:
            raise ValueError(f"{self.delay!r} is no delay: known {', '.join(DelaySettings.model_fields)}")
        return self

    def __str__(self) -> str:
        return (
            f"{self.delay.replace('_', ' ')}: {format_durations(self.to)}"
            f" instead of {format_durations(self.real)}, {self.why}"
        )


class Recovery(Settings):
    """How the fault ends: after a time, or once somebody did the right thing."""

    after: DurationRange | None = Field(None, description="Time from the onset to the beginning of recovery.")
    when: Condition | None = Field(None, description="What has to be true first.")
    takes: str | None = Field(None, description="Delay of the cluster between the condition and recovery.")
    says: str = Field("", description="The sentence for the log, as a predicate of the target.")

    @model_validator(mode="after")
    def _one_way(self) -> Recovery:
        if (self.after is None) == (self.when is None):
            raise ValueError("give either `after` or `when`")
        if self.takes is not None and self.takes not in DelaySettings.model_fields:
            raise ValueError(f"{self.takes!r} is no delay: known {', '.join(DelaySettings.model_fields)}")
        return self


class Truth(Settings):
    """What a good monitor says about it, for evaluation."""

    root: Kind = Field(description="Kind of the root entity (its name is known once the fault is injected).")
    affects: list[Kind] = Field(description="Kinds of the other entities that suffer.")
    alerts: list[str] = Field(description="Alerts that must fire.")
    action: str = Field(description="The right action (`cordon`, `restart`, `scale`, `ticket`, `none`).")
    confusers: list[str] = Field(default_factory=list, description="Faults that look alike.")


class Fault(Settings):
    """One fault of the catalogue."""

    id: str = Field(pattern=r"^[A-Z]\d{2}$", description="Its number in the catalogue.")
    name: str = Field(description="Its name.")
    tier: Literal["P0", "P1", "P2", "P3"] = Field(description="How urgently people must answer.")
    story: str = Field(description="The chain from cause to effect, for people.")
    target: Target = Field(description="What it befalls.")
    effects: list[Effect] = Field(min_length=1, description="What it does to the model.")
    compressed: list[Compressed] = Field(
        default_factory=list, description="Times that are not the real ones."
    )
    recovery: Recovery = Field(description="How it ends.")
    truth: Truth = Field(description="What is true of it.")


def load_fault(path: Path | Traversable) -> Fault:
    """The fault in one file. Raises ConfigurationError with all that is wrong in it."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigurationError([Problem(str(path), "", "is not a mapping", "begin with `id: G01`")])
    return load_section(Fault, data, str(path))


def load_faults(paths: Iterable[Path | Traversable] | None = None) -> dict[str, Fault]:
    """Faults by id, those shipped with the simulator by default.

    Raises ConfigurationError with everything that is wrong in all the files.
    """
    if paths is None:
        folder = resources.files("simulator.faults")
        paths = sorted(
            (file for file in folder.iterdir() if file.name.endswith(".yml")), key=lambda file: file.name
        )
    faults: dict[str, Fault] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            fault = load_fault(path)
        except ConfigurationError as error:
            problems += error.problems
            continue
        if fault.id in faults:
            problems.append(Problem(str(path), "id", f"{fault.id} is defined twice"))
        faults[fault.id] = fault
    if problems:
        raise ConfigurationError(problems)
    return faults
