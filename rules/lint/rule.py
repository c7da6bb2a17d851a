"""A rule as the checks see it: its text, its parsed expression, and what is said of it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.alert import Tier, tier_of
from rules.promql.scrapes import Span


@dataclass(frozen=True, slots=True)
class LintedRule:
    """One rule that could be parsed.

    `labels` are those of the group and the rule together, `expression` is a node of promql_parser.
    """

    file: str
    group: str
    number: int
    name: str
    alerting: bool
    expression: Any
    hold: Span = field(default=Span())
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def tier(self) -> Tier:
        """How urgent its alerts are."""
        return tier_of(self.labels)
