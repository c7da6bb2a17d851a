"""The life of an alert: inactive, pending, firing, resolved.

Source: prometheus/prometheus rules/alerting.go, AlertingRule.Eval. Beyond it: an evaluation that fails
changes nothing, and an alert that was restored after a restart stays as it was until the window has
seen enough of its target to judge it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from urllib.parse import quote

from model.alert import Alert
from model.labels import NAME, Labels
from rules.group import AlertRule
from rules.promql.answer import Vector
from rules.promql.errors import EvaluationError
from wire.gotext import QueriedSample, TemplateValueError
from wire.template import Template, unexpanded

PENDING = "pending"
FIRING = "firing"


class RuleQuery(Protocol):
    """Evaluates PromQL for a template, at a moment (ms). Raises TemplateValueError."""

    def __call__(self, expression: str, at: int) -> list[QueriedSample]:
        """The rows of the result."""
        ...


@dataclass(slots=True)
class ActiveAlert:
    """A pending or firing alert. `source` are the labels of the row that it stands for."""

    labels: Labels
    source: Labels
    annotations: Mapping[str, str]
    value: float
    active_at: int
    state: str = PENDING
    fired_at: int = 0
    keep_since: int = 0
    """Since when (ms) only `keep_firing_for` holds it; 0 while the expression does."""
    restored: bool = False
    seen_at: int = 0
    """When (ms) its target was first seen after the restart; 0 not yet."""
    interval: int = 0
    """The longest scrape interval (ms) of its sources; 0 not known."""
    generator_url: str = ""
    outdated: bool = False
    """Whether its words are those of a rule before a reload."""
    _told: Alert | None = None
    _series: tuple[str, Labels, Labels] | None = None

    def alert(self, ends_at: int | None = None) -> Alert:
        """What is told to those who handle alerts; the same object while nothing changes."""
        told = self._told
        if (
            told is None
            or told.ends_at != ends_at
            or told.starts_at != self.fired_at
            or told.annotations is not self.annotations
        ):
            told = self._told = Alert(
                self.labels, self.annotations, self.fired_at, ends_at, self.value, self.generator_url
            )
        return told

    def series(self) -> tuple[Labels, Labels]:
        """The labels of its ALERTS and ALERTS_FOR_STATE series."""
        if self._series is None or self._series[0] != self.state:
            alerts = self.labels.merged({NAME: "ALERTS", "alertstate": self.state})
            self._series = self.state, alerts, self.labels.merged({NAME: "ALERTS_FOR_STATE"})
        return self._series[1:]


@dataclass(slots=True)
class Step:
    """What one evaluation did: the alerts that changed state, and those that ended."""

    changed: list[ActiveAlert] = field(default_factory=list)
    dropped: list[ActiveAlert] = field(default_factory=list)

    @property
    def resolved(self) -> list[ActiveAlert]:
        """Those that were firing."""
        return [active for active in self.dropped if active.state == FIRING]


class AlertStates:
    """The active alerts of one rule, by their labels.

    `query` evaluates PromQL at a moment (ms) for the templates of the rule.
    """

    def __init__(
        self,
        rule: AlertRule,
        key: str,
        default_interval: int,
        external_url: str = "",
        external_labels: Mapping[str, str] | None = None,
        query: RuleQuery | None = None,
    ) -> None:
        self.rule = rule
        self.key = key
        self.active: dict[Labels, ActiveAlert] = {}
        self._default_interval = default_interval
        self.flaw = ""
        """Why a template of an alert of the last evaluation could not be filled in; empty if all could."""
        self._external_url = external_url
        self._external_labels = external_labels
        self._query = query
        self._now = 0
        self._asks = any("query" in template.text for template in rule.annotations.values())
        self._fill_again = False
        self._generator_url = _generator_url(external_url, rule.expression.text)
        self._constant = not any("{{" in template.text for template in rule.labels.values())
        self._labels: dict[Labels, Labels] = {}

    def adopt(self, active: ActiveAlert) -> None:
        """Take over an alert of an earlier process, or of this rule before a reload."""
        active.outdated = True
        active.generator_url = self._generator_url
        self.active[active.labels] = active

    def update(self, result: Vector, now: int, held: frozenset[Labels] = frozenset()) -> Step:
        """Take the rows of an evaluation at `now` (ms); alerts in `held` stay as they are.

        Raises EvaluationError if two rows make the same alert; nothing has changed then.
        """
        self._now = now
        self._fill_again, self.flaw = self._asks or bool(self.flaw), ""
        found = self._identify(result)
        step = Step()
        for labels, row in found.items():
            self._observe(labels, row, result, now, held, step)
        for labels in [labels for labels in self.active if labels not in found and labels not in held]:
            self._miss(self.active[labels], now, step)
        return step

    def _identify(self, result: Vector) -> dict[Labels, int]:
        found: dict[Labels, int] = {}
        for row, source in enumerate(result.labels):
            labels = self._alert_labels(source, float(result.values[row]))
            if labels in found:
                raise EvaluationError(
                    f"two results have the same labels after the labels of the rule were applied: {labels}"
                )
            found[labels] = row
        return found

    def _alert_labels(self, source: Labels, value: float) -> Labels:
        """The identity of the alert: the row's labels without the name, the rule's, and alertname last."""
        known = self._labels.get(source)
        if known is not None:
            return known
        added = {name: self._render(template, source, value) for name, template in self.rule.labels.items()}
        labels = source.without(NAME).merged({**added, "alertname": self.rule.name})
        if self._constant:
            if len(self._labels) > 2 * len(self.active) + 1024:
                self._labels.clear()
            self._labels[source] = labels
        return labels

    def _observe(
        self, labels: Labels, row: int, result: Vector, now: int, held: frozenset[Labels], step: Step
    ) -> None:
        value, source = float(result.values[row]), result.labels[row]
        active = self.active.get(labels)
        if active is None:
            active = ActiveAlert(
                labels, source.without(NAME), {}, value, now, generator_url=self._generator_url
            )
            active.annotations = self._annotations(source, value)
            self.active[labels] = active
            step.changed.append(active)
        elif active.outdated or self._fill_again or not _same(active.value, value):
            active.value, active.annotations = value, self._annotations(source, value)
            active.outdated = False
        active.interval = int(result.intervals[row]) or active.interval
        if labels in held:
            return
        active.restored = False
        if active.keep_since:
            active.keep_since = 0
            step.changed.append(active)
        self._judge(active, now, step)

    def _judge(self, active: ActiveAlert, now: int, step: Step) -> None:
        hold = self.rule.hold.at(active.interval or self._default_interval)
        if active.state == PENDING and now - active.active_at >= hold:
            active.state, active.fired_at = FIRING, now
            step.changed.append(active)

    def _miss(self, active: ActiveAlert, now: int, step: Step) -> None:
        keep = self.rule.keep_firing_for.at(active.interval or self._default_interval)
        if active.state == FIRING and keep:
            if not active.keep_since:
                active.keep_since = now
                step.changed.append(active)
            if now - active.keep_since < keep:
                return
        del self.active[active.labels]
        step.dropped.append(active)

    def _annotations(self, source: Labels, value: float) -> dict[str, str]:
        return {
            name: self._render(template, source, value) for name, template in self.rule.annotations.items()
        }

    def _render(self, template: Template, source: Labels, value: float) -> str:
        query = partial(self._query, at=self._now) if self._query else None
        try:
            return template.expand(source, value, self._external_labels, self._external_url, query)
        except TemplateValueError as error:
            self.flaw = f"the template {template.text!r} failed: {error}"
            return unexpanded(error)


def _generator_url(external_url: str, expression: str) -> str:
    """Where people can ask what the expression is now; empty where nobody has said how to reach us."""
    return f"{external_url.rstrip('/')}/api/v1/query?query={quote(expression)}" if external_url else ""


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
