"""Where an alert comes from: a rule of ours with the values it saw, or a sender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analyzer.explain.parts import parts_of
from analyzer.pipeline import Pipeline
from model.labels import NAME, Labels
from model.moment import format_duration, format_moment
from rules.active import FIRING, ActiveAlert
from rules.group import AlertRule
from rules.running import GroupState


@dataclass(frozen=True, slots=True)
class Origin:
    """The rule of an alert, and the alert as that rule has it now, if it does."""

    group: GroupState
    rule: AlertRule
    active: ActiveAlert | None

    def document(self) -> dict[str, Any]:
        """As JSON, without values."""
        return {
            "kind": "rule",
            "file": self.group.group.file,
            "group": self.group.group.name,
            "rule": self.rule.name,
            "expr": self.rule.expression.text,
            "for": str(self.rule.hold),
            "keep_firing_for": str(self.rule.keep_firing_for),
            "clear_expr": "" if self.rule.clear is None else self.rule.clear.text,
            "interval": format_duration(self.group.interval),
            "flaw": self.rule.flaw,
        }


def origin_of(pipeline: Pipeline, labels: Labels, generator_url: str) -> Origin | None:
    """The rule that raised an alert; None for one that a sender posted."""
    named: list[Origin] = []
    for group in pipeline.rules.groups:
        for state in group.rules:
            if state.states is None or not isinstance(state.rule, AlertRule):
                continue
            active = state.states.active.get(labels)
            if active is not None:
                return Origin(group, state.rule, active)
            if state.rule.name == labels.value("alertname") and _fits(state.rule, labels):
                named.append(Origin(group, state.rule, None))
    external = pipeline.settings.alertmanager.external_url
    ours = not generator_url or (bool(external) and generator_url.startswith(external))
    return named[0] if named and ours else None


def _fits(rule: AlertRule, labels: Labels) -> bool:
    return all("{{" in text or labels.value(name) == text for name, text in rule.texts.items())


def source_document(
    pipeline: Pipeline, origin: Origin | None, labels: Labels, moments: list[int], generator_url: str
) -> dict[str, Any]:
    """The origin as JSON, with what each part of the expression was worth at these moments (ms)."""
    if origin is None:
        return {"kind": "api", "generator_url": generator_url}
    source = origin.active.source if origin.active is not None else _source_of(origin.rule, labels)
    begins = _begins(pipeline)
    values: list[dict[str, Any]] = []
    for at in moments:
        if begins is None or at < begins:
            since = "is empty" if begins is None else f"begins at {format_moment(begins)}"
            note = f"the window {since}: what was there at {format_moment(at)} is not held any more"
            values.append({"at": format_moment(at), "note": note, "parts": []})
        else:
            parts = parts_of(pipeline, origin.rule.expression.text, at, source)
            shown = [part.document() for part in parts]
            values.append({"at": format_moment(at), "note": "", "parts": shown})
    return {**origin.document(), "values": values}


def _source_of(rule: AlertRule, labels: Labels) -> Labels:
    return labels.without(NAME, "alertname", *rule.texts)


def _begins(pipeline: Pipeline) -> int | None:
    return pipeline.window.oldest()


def states_of(origin: Origin | None) -> list[dict[str, Any]]:
    """What the rule says of when the alert changed its state, as far as it is active now."""
    if origin is None or origin.active is None:
        return []
    active = origin.active
    found = [(active.active_at, "pending", "the expression holds since then")]
    if active.state == FIRING:
        hold = f"the expression has held for {origin.rule.hold}" if str(origin.rule.hold) != "0s" else ""
        found.append((active.fired_at, "firing", hold or "it has no `for`"))
    if active.keep_since:
        found.append((active.keep_since, "kept", "the expression no longer holds; keep_firing_for does"))
    if active.damped_since:
        found.append((active.damped_since, "damped", "the expression no longer holds; flap control does"))
    return [{"at": format_moment(at), "state": state, "why": why} for at, state, why in found]
