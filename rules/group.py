"""Rule groups as the engine runs them: checked, parsed, with compiled templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.alert import Tier, tier_of
from rules.promql.expression import Expression
from rules.promql.scrapes import Span
from rules.sidefile import Extras
from wire.template import Template


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """`record`: the result of an expression, kept as a series of its own.

    `flaw` says why it cannot be evaluated here, and the way out; empty if it can.
    """

    name: str
    expression: Expression
    labels: Mapping[str, str]
    flaw: str = ""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that is evaluated for it."""
        return (self.expression,)

    @property
    def texts(self) -> dict[str, str]:
        """Its labels as they are written."""
        return dict(self.labels)

    @property
    def tier(self) -> Tier | None:
        """How urgent it is by its own label; None where it has none, for then its readers decide."""
        return tier_of(self.labels) if "tier" in self.labels else None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`alert`: each row of the expression's result is an alert, once it has been there for `hold`.

    `clear` is the side file's `clear_expr`. `flaw` says why the rule cannot be evaluated here, and the way
    out; empty if it can.
    """

    name: str
    expression: Expression
    labels: Mapping[str, Template]
    annotations: Mapping[str, Template]
    hold: Span = field(default=Span())
    keep_firing_for: Span = field(default=Span())
    extras: Extras = field(default=Extras())
    clear: Expression | None = None
    flaw: str = ""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that is evaluated for it."""
        return (self.expression,) if self.clear is None else (self.expression, self.clear)

    @property
    def texts(self) -> dict[str, str]:
        """Its labels as they are written."""
        return {name: template.text for name, template in self.labels.items()}

    @property
    def tier(self) -> Tier:
        """How urgent its alerts are; the most urgent where a template decides that later."""
        texts = self.texts
        if any("{{" in texts.get(name, "") for name in ("tier", "severity")):
            return Tier.P0
        return tier_of(texts)


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
