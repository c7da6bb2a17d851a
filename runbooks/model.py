"""A runbook: which alert it answers, what must be proven, what limits it, what it does and how it undoes it.

The shape is YAML (`runbooks/library/` holds examples); what this version cannot do is an error at load,
never a key that is silently ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from model.alert import Alert, Tier
from model.document import read_yaml
from model.moment import HOUR, MINUTE
from model.settings import ConfigurationError, Duration, Problem, Settings, problems_of
from model.topology import GPU_LABELS, NODE_LABELS
from runbooks.expression import checked
from runbooks.settings import Mode

Fact = Literal["node.unschedulable", "node.not_ready", "node.gpu_allocatable_below_capacity"]


class Metadata(Settings):
    """Who the runbook is."""

    name: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Name, unique among all runbooks."
    )
    version: int = Field(ge=1, description="Raise it with every change: a run is bound to name and version.")


class Match(Settings):
    """Which alerts open an episode."""

    alerts: tuple[str, ...] = Field(min_length=1, description="Alert names.")
    tiers: tuple[str, ...] = Field(("P0", "P1"), min_length=1, description="Tiers of alert that count.")
    max_event_age: Duration = Field(5 * MINUTE, gt=0, description="An alert older than this never acts.")

    @field_validator("tiers")
    @classmethod
    def _known_tiers(cls, tiers: tuple[str, ...]) -> tuple[str, ...]:
        for tier in tiers:
            if tier not in Tier.__members__:
                raise ValueError(f"{tier!r} is no tier: known are {', '.join(Tier.__members__)}")
        return tiers

    def accepts(self, alert: Alert) -> bool:
        """Whether this alert opens an episode."""
        return alert.name in self.alerts and alert.tier.name in self.tiers


class Target(Settings):
    """What is acted on, and which labels of the alert name it."""

    kind: Literal["node"] = Field("node", description="Kind of target; only nodes in this version.")
    node_labels: tuple[str, ...] = Field(NODE_LABELS, description="Labels that may name the node.")
    gpu_labels: tuple[str, ...] = Field(
        GPU_LABELS, description="Labels that hold the GPU's UUID, resolved by topology."
    )


class Condition(Settings):
    """A PromQL expression that holds when it returns any sample, or a fact of the target in the cluster."""

    expr: str | None = Field(None, description="PromQL; $node, $uuid and $gpu are the target's.")
    fact: Fact | None = Field(None, description="A fact read from the node object.")

    @field_validator("expr")
    @classmethod
    def _is_promql(cls, expr: str | None) -> str | None:
        return None if expr is None else checked(expr)

    @model_validator(mode="after")
    def _one_of_two(self) -> Condition:
        if (self.expr is None) == (self.fact is None):
            raise ValueError("give exactly one of expr and fact")
        return self

    @property
    def text(self) -> str:
        """What must hold, as written."""
        return self.fact or self.expr or ""


class Sign(Condition):
    """One sign of the fault. Signs of one kind share their source and count once."""

    name: str = Field(description="Name of the sign, for the sentences.")
    kind: Literal["driver", "telemetry", "kubernetes", "engine", "host"] = Field(
        description="Where the sign comes from: independent evidence needs different kinds."
    )
    hard: bool = Field(False, description="Proof by itself: cannot be seen on a healthy target.")
    held: Duration = Field(0, ge=0, alias="for", description="How long it must hold before it counts.")


class Evidence(Settings):
    """What proves the fault."""

    require: int = Field(2, ge=2, description="Independent kinds that must hold, unless a hard sign does.")
    signs: tuple[Sign, ...] = Field(min_length=1, description="The signs that are looked for.")

    @model_validator(mode="after")
    def _attainable(self) -> Evidence:
        kinds = {sign.kind for sign in self.signs}
        if len(kinds) < self.require and not any(sign.hard for sign in self.signs):
            raise ValueError(f"{self.require} kinds are required but the signs have only {len(kinds)}")
        return self


class Budget(Settings):
    """How many nodes may be out at once, those that others took out included."""

    max_nodes_out: int = Field(1, ge=1, description="Nodes out at once, at most.")
    max_percent_out: int = Field(
        10, ge=1, le=50, description="Percent of the GPU nodes out at once, rounded down, but at least one."
    )


class Cooldown(Settings):
    """Rest between two actions on one target."""

    per_target: Duration = Field(30 * MINUTE, ge=0, description="Least time between two actions on it.")


class Window(Settings):
    """How many actions in a while."""

    actions: int = Field(2, ge=1, description="Actions of this runbook, at most ...")
    per: Duration = Field(HOUR, gt=0, description="... in this time.")


class Guards(Settings):
    """What limits the runbook, however certain the fault."""

    budget: Budget = Field(Budget(), description="Nodes out at once.")
    cooldown: Cooldown = Field(Cooldown(), description="Rest per target.")
    window: Window = Field(Window(), description="Actions in a while.")


class Step(Settings):
    """One action and how it is taken back."""

    action: Literal["node.cordon"] = Field(description="What is done.")
    undo: Literal["node.uncordon"] = Field(description="How it is taken back.")


class Verify(Settings):
    """What must hold after the action."""

    within: Duration = Field(MINUTE, gt=0, description="Time until all conditions must have held at once.")
    all: tuple[Condition, ...] = Field(min_length=1, description="The conditions.")


class Runbook(Settings):
    """One runbook."""

    api_version: Literal["fleetowl/v1"] = Field(alias="apiVersion", description="Version of this shape.")
    kind: Literal["Runbook"] = Field(description="Always Runbook.")
    metadata: Metadata = Field(description="Name and version.")
    description: str = Field("", description="One sentence for people.")
    match: Match = Field(description="The alerts it answers.")
    mode: Mode = Field("dry-run", description="dry-run: say what would be done. auto: do it.")
    target: Target = Field(Target(), description="What it acts on.")
    evidence: Evidence = Field(description="What proves the fault.")
    guards: Guards = Field(Guards(), description="What limits it.")
    steps: tuple[Step] = Field(description="What it does: one step for now.")
    verify: Verify = Field(
        description="What must hold afterwards; where it does not, own changes are undone."
    )

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name


def load_runbooks(paths: Sequence[Path]) -> list[Runbook]:
    """The runbooks of these files, and of the `*.yml` and `*.yaml` files in these folders, by name.

    Raises ConfigurationError with every problem of every file.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[Path, Runbook]] = {}
    for path in _files(paths):
        runbook = _load(path, problems)
        if runbook is None:
            continue
        if runbook.name in found:
            other = found[runbook.name][0]
            problems.append(Problem(str(path), "metadata.name", f"{runbook.name!r} is also in {other}"))
        found[runbook.name] = (path, runbook)
    if problems:
        raise ConfigurationError(problems)
    return [runbook for _, (_, runbook) in sorted(found.items())]


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.suffix in (".yml", ".yaml"))
        else:
            found.append(path)
    return found


def _load(path: Path, problems: list[Problem]) -> Runbook | None:
    try:
        data: Any = read_yaml(path)
    except ConfigurationError as error:
        problems += error.problems
        return None
    if not isinstance(data, Mapping):
        problems.append(
            Problem(str(path), "", "is not a runbook", "write apiVersion: fleetowl/v1, kind: Runbook")
        )
        return None
    try:
        return Runbook.model_validate(data)
    except ValidationError as error:
        problems += problems_of(error, Runbook, str(path))
        return None
