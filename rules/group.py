"""Rule groups as the engine runs them: checked, parsed, with compiled templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.promql.expression import Expression
from rules.promql.scrapes import Span
from rules.sidefile import Extras
from wire.template import Template


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """`record`: the result of an expression, kept as a series of its own."""

    name: str
    expression: Expression
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`alert`: each row of the expression's result is an alert, once it has been there for `hold`."""

    name: str
    expression: Expression
    labels: Mapping[str, Template]
    annotations: Mapping[str, Template]
    hold: Span = field(default=Span())
    keep_firing_for: Span = field(default=Span())
    extras: Extras = field(default=Extras())


Rule = RecordingRule | AlertRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated together, in order. `interval` 0 means the configured one (ms)."""

    file: str
    name: str
    rules: tuple[Rule, ...]
    interval: int = 0
    query_offset: int = 0
    limit: int = 0

    @property
    def key(self) -> str:
        """What tells this group from every other."""
        return f"{self.file};{self.name}"
