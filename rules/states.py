"""The life of an alert: inactive, pending, firing, resolved.

Source: prometheus/prometheus rules/alerting.go, AlertingRule.Eval. Beyond it: an evaluation that fails
changes nothing, an alert that was restored after a restart stays as it was until the window has seen
enough of its target to judge it, and the side file may ask for an end of its own (`clear_expr`) and for
flap control.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import quote

from model.alert import Alert
from model.labels import NAME, Labels
from rules.active import CLEAR, FIRING, FLAP, KEEP, PENDING, ActiveAlert
from rules.flap import FlapControl, Flapping
from rules.group import AlertRule
from rules.promql.answer import Vector
from rules.promql.errors import EvaluationError
from rules.wording import Wording

Ended = Callable[[list[ActiveAlert]], Collection[Labels]]
"""Of firing alerts whose expression no longer holds, those that `clear_expr` lets go."""


@dataclass(slots=True)
class Step:
    """What one evaluation did: the alerts that changed, those that are gone, and what is to be told.

    `flapping` are the records of flap control that changed, None for those that are gone. `flaw` is what
    is wrong with the rule although it has a result: a template that failed.
    """

    changed: list[ActiveAlert] = field(default_factory=list)
    dropped: list[ActiveAlert] = field(default_factory=list)
    resolved: list[Alert] = field(default_factory=list)
    flapping: dict[Labels, Flapping | None] = field(default_factory=dict)
    flaw: str = ""


class AlertStates:
    """The active alerts of one rule, by their labels.

    `default_interval` (ms) stands in where `for: $scrapes(n)` finds no scrape interval. `interval` (ms) is
    how often the rule is evaluated.
    """

    def __init__(
        self, rule: AlertRule, key: str, default_interval: int, wording: Wording, interval: int = 0
    ) -> None:
        self.rule = rule
        self.key = key
        self.active: dict[Labels, ActiveAlert] = {}
        self.flaps = FlapControl(rule.extras.flap) if rule.extras.flap is not None else None
        self._default_interval = default_interval
        self._wording = wording
        self._asks = any("query" in template.text for template in rule.annotations.values())
        self._interval = interval
        self._generator_url = _generator_url(wording.external_url, rule.expression.text)
        self._constant = not any("{{" in template.text for template in rule.labels.values())
        self._labels: dict[Labels, Labels] = {}
        self.flaw = ""
        """Which template could not be filled in at the last evaluation; empty if all could."""

    def adopt(self, active: ActiveAlert, before: AlertRule | None = None) -> None:
        """Take over an alert of an earlier process, or of this rule as it was `before` a reload."""
        active.rewrite(self._generator_url, self.rule.extras)
        active.held_anew = before is not None and before.hold != self.rule.hold
        self.active[active.labels] = active

    def take_flapping(self, labels: Labels, record: Flapping) -> bool:
        """Take over how an alert has flapped before; whether the rule still has flap control."""
        if self.flaps is not None:
            self.flaps.records[labels] = record
        return self.flaps is not None

    def succeed(self, before: AlertStates) -> Step:
        """Take over everything of this rule as it was before a reload."""
        for active in before.active.values():
            self.adopt(active, before.rule)
        if self.flaps is None or before.flaps is None:
            return before.forget_flapping()
        self.flaps.records = before.flaps.records
        return Step()

    def forget_flapping(self) -> Step:
        """Nobody goes on with the records of flap control."""
        records = self.flaps.records if self.flaps is not None else {}
        return Step(flapping=dict.fromkeys(records))

    def update(
        self,
        result: Vector,
        now: int,
        held: frozenset[Labels] = frozenset(),
        limit: int = 0,
        ended: Ended | None = None,
    ) -> Step:
        """Take the rows of an evaluation at `now` (ms); alerts in `held` stay as they are.

        Raises EvaluationError if two rows make the same alert, or if there are more than `limit` (0: any
        number) then; nothing has changed in that case.
        """
        self.flaw = ""
        found = self._identify(result, now)
        missing = [
            active for labels, active in self.active.items() if labels not in found and labels not in held
        ]
        kept = self._kept(missing, now, ended)
        if limit:
            count = len(found.keys() | self.active.keys()) - len(missing) + len(kept)
            if count > limit:
                raise EvaluationError(f"exceeded limit of {limit} with {count} alerts")
        step = Step()
        for labels, row in found.items():
            self._observe(labels, row, result, now, held, step)
        for active in missing:
            self._miss(active, kept.get(active.labels, ""), now, step)
        self._close(step, now)
        return step

    def _identify(self, result: Vector, now: int) -> dict[Labels, int]:
        found: dict[Labels, int] = {}
        for row, source in enumerate(result.labels):
            labels = self._alert_labels(source, float(result.values[row]), now)
            if labels in found:
                raise EvaluationError(
                    f"two results have the same labels after the labels of the rule were applied: {labels}"
                )
            found[labels] = row
        return found

    def _alert_labels(self, source: Labels, value: float, now: int) -> Labels:
        """The identity of the alert: the row's labels without the name, the rule's, and alertname last."""
        known = self._labels.get(source)
        if known is not None:
            return known
        added = {}
        for name, template in self.rule.labels.items():
            added[name], flaw = self._wording.fill(template, source, value, now)
            if flaw:
                self.flaw = f"the template of the label {name} failed: {flaw}"
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
            active = ActiveAlert(labels, source.without(NAME), {}, value, now)
            active.rewrite(self._generator_url, self.rule.extras)
            self.active[labels] = active
            step.changed.append(active)
        if active.outdated or active.flaw or self._asks or not active.has_value(value):
            active.value, active.outdated = value, False
            self._annotate(active, source, now)
        active.interval = int(result.intervals[row]) or active.interval
        active.traced_at = now
        if labels in held:
            return
        active.restored = False
        if active.kept or active.keep_since or active.damped_since:
            self._holds_again(active, now, step)
        self._judge(active, now, step)

    def _holds_again(self, active: ActiveAlert, now: int, step: Step) -> None:
        """The expression has come back while something else held the alert."""
        if active.keep_since or active.damped_since:
            step.changed.append(active)
        if active.damped_since and self.flaps is not None:
            self.flaps.change(active.labels, now)
        active.keep_since = active.damped_since = 0
        active.kept = ""

    def _judge(self, active: ActiveAlert, now: int, step: Step) -> None:
        due = self._lasted(now - active.active_at, self.rule.hold.at(self._interval_of(active)))
        if active.state == PENDING and due:
            active.state, active.fired_at = FIRING, now
            step.changed.append(active)
            if self.flaps is not None:
                self.flaps.change(active.labels, now)
        elif active.state == FIRING and active.held_anew and not due:
            # As Prometheus does where a reload has raised `for`.
            step.resolved.append(active.alert(ends_at=now))
            active.state, active.fired_at = PENDING, 0
            step.changed.append(active)
        active.held_anew = False

    def _lasted(self, elapsed: int, span: int) -> bool:
        """Whether a span has gone by, in whole evaluations.

        Prometheus counts in the moments at which an evaluation was due. Here it counts from when it took
        place, and the first may have been some milliseconds late; so a tenth of the interval is let off.
        """
        whole = -(-span // self._interval) * self._interval if self._interval else span
        return elapsed >= whole - self._interval // 10

    def _interval_of(self, active: ActiveAlert) -> int:
        return active.interval or self._default_interval

    def _kept(self, missing: list[ActiveAlert], now: int, ended: Ended | None) -> dict[Labels, str]:
        """The alerts that go on without a row of the expression, each with what holds it."""
        firing = [active for active in missing if active.state == FIRING]
        waiting = [active for active in firing if not active.keep_since and not active.damped_since]
        let_go = self._let_go(waiting, ended) if ended is not None and waiting else None
        kept: dict[Labels, str] = {}
        for active in firing:
            is_waiting = not active.keep_since and not active.damped_since
            if is_waiting and let_go is not None and active.labels not in let_go:
                kept[active.labels] = CLEAR
            elif self._keeps_firing(active, now):
                kept[active.labels] = KEEP
            elif self._flaps(active, now):
                kept[active.labels] = FLAP
        return kept

    def _let_go(self, waiting: list[ActiveAlert], ended: Ended) -> Collection[Labels]:
        """What `clear_expr` lets go; nothing if it fails: a failure ends no alert and hinders no other."""
        try:
            return ended(waiting)
        except EvaluationError as error:
            self.flaw = f"clear_expr failed: {error}"
            return ()

    def _keeps_firing(self, active: ActiveAlert, now: int) -> bool:
        span = self.rule.keep_firing_for.at(self._interval_of(active))
        if not span or active.damped_since:
            return False
        return not active.keep_since or not self._lasted(now - active.keep_since, span)

    def _flaps(self, active: ActiveAlert, now: int) -> bool:
        if self.flaps is None:
            return False
        if active.damped_since:
            return self.flaps.holds(active.labels, now)
        return self.flaps.would_hold(active.labels, now)

    def _miss(self, active: ActiveAlert, kept: str, now: int, step: Step) -> None:
        active.kept = kept
        if kept == KEEP and not active.keep_since:
            active.keep_since = now
            step.changed.append(active)
        if kept in (CLEAR, KEEP):
            return
        if active.state == FIRING and not active.damped_since and self.flaps is not None:
            self.flaps.change(active.labels, now)
        if kept == FLAP:
            if not active.damped_since:
                active.damped_since = now
                step.changed.append(active)
            return
        del self.active[active.labels]
        step.dropped.append(active)
        if active.state == FIRING:
            step.resolved.append(active.alert(ends_at=now))

    def _close(self, step: Step, now: int) -> None:
        """Gather what the evaluation leaves behind beside the alerts."""
        if self.flaps is not None:
            self.flaps.forget_quiet(now)
            step.flapping = {labels: self.flaps.records.get(labels) for labels in self.flaps.touched}
            self.flaps.touched = set()
        self.flaw = self.flaw or next((one.flaw for one in self.active.values() if one.flaw), "")
        step.flaw = self.flaw

    def _annotate(self, active: ActiveAlert, source: Labels, now: int) -> None:
        active.flaw, texts = "", {}
        for name, template in self.rule.annotations.items():
            texts[name], flaw = self._wording.fill(template, source, active.value, now)
            if flaw:
                active.flaw = f"the template of the annotation {name} failed: {flaw}"
        active.annotations = texts


def _generator_url(external_url: str, expression: str) -> str:
    """Where people can ask what the expression is now; empty where nobody has said how to reach us."""
    return f"{external_url.rstrip('/')}/api/v1/query?query={quote(expression)}" if external_url else ""
