"""Groups, rules and alerts as `/api/v1/rules` shows them: Prometheus' keys, and Fleetowl's own beside them.

Source of the keys: prometheus/prometheus web/api/v1/api.go, RuleDiscovery. What Prometheus does not know is
under `fleetowl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from model.alert import deadline_of, kind_of
from model.moment import SECOND, format_duration, format_moment
from rules.active import FIRING, PENDING, ActiveAlert
from rules.flap import FlapControl
from rules.group import AlertRule, RecordingRule
from rules.running import GroupState, RuleState
from rules.sidefile import Flap

_NEVER = "0001-01-01T00:00:00Z"


def document_of(groups: Sequence[GroupState], default_interval: int) -> dict[str, Any]:
    """The `data` of the answer. `default_interval` (ms) is what `$scrapes(n)` is shown in."""
    return {"groups": [_group(group, default_interval) for group in groups]}


def _group(state: GroupState, default_interval: int) -> dict[str, Any]:
    group = state.group
    return {
        "name": group.name,
        "file": group.file,
        "interval": state.interval / SECOND,
        "limit": group.limit,
        "queryOffset": group.query_offset / SECOND,
        "evaluationTime": state.duration,
        "lastEvaluation": _moment(state.evaluated_at),
        "rules": [_rule(rule, default_interval) for rule in state.rules],
        "fleetowl": {"tier": state.tier.name, "missed": state.missed + state.missing, "shed": state.shed},
    }


def _rule(state: RuleState, default_interval: int) -> dict[str, Any]:
    common = {
        "name": state.rule.name,
        "query": state.rule.expression.text,
        "labels": state.rule.texts,
        "health": health(state),
        **({"lastError": error} if (error := state.error or state.rule.flaw) else {}),
        "evaluationTime": state.duration,
        "lastEvaluation": _moment(state.evaluated_at),
    }
    if isinstance(state.rule, RecordingRule):
        return {**common, "type": "recording"}
    rule, active = state.rule, list(state.states.active.values()) if state.states else []
    flaps = state.states.flaps if state.states else None
    return {
        **common,
        "type": "alerting",
        "state": _state(active),
        "duration": rule.hold.at(default_interval) / SECOND,
        "keepFiringFor": rule.keep_firing_for.at(default_interval) / SECOND,
        "annotations": {name: template.text for name, template in rule.annotations.items()},
        "alerts": [alert_document(one, flaps) for one in active],
        "fleetowl": _beyond(rule),
    }


def health(state: RuleState) -> str:
    """`ok`, `err`, or `unknown` before the first evaluation. A flaw of the rule needs none."""
    if state.error or state.rule.flaw:
        return "err"
    return "ok" if state.evaluated_at else "unknown"


def _state(active: Iterable[ActiveAlert]) -> str:
    states = {one.state for one in active}
    return FIRING if FIRING in states else PENDING if PENDING in states else "inactive"


def alert_document(active: ActiveAlert, flaps: FlapControl | None = None) -> dict[str, Any]:
    """One alert; `fleetowl` says why it fires although its expression does not hold, if that is so."""
    document: dict[str, Any] = {
        "labels": dict(active.labels),
        "annotations": dict(active.annotations),
        "state": active.state,
        "activeAt": format_moment(active.active_at),
        "value": _value(active.value),
    }
    if active.keep_since:
        document["keepFiringSince"] = format_moment(active.keep_since)
    if why := _why_kept(active, flaps):
        document["fleetowl"] = {"held": why}
    return document


def _why_kept(active: ActiveAlert, flaps: FlapControl | None) -> str:
    if active.restored:
        return "it was restored after a restart, and the window cannot judge it yet"
    record = flaps.records.get(active.labels) if flaps is not None else None
    if flaps is not None and record is not None and record.damped:
        return (
            f"it flaps: {len(record.changes)} changes, the last at {format_moment(record.changes[-1])}; "
            f"it is held firing until none has come for {format_duration(flaps.settings.hold)}"
        )
    if active.kept:
        return f"its expression does not hold any more; {active.kept} does not let it go yet"
    return ""


def _beyond(rule: AlertRule) -> dict[str, Any]:
    extras, kind = rule.extras, kind_of(rule.texts, rule.extras.kind)
    return {
        "tier": rule.tier.name,
        "kind": kind,
        "deadline": (extras.deadline or deadline_of(rule.tier, kind)) / SECOND,
        "for": str(rule.hold),
        "entity": extras.entity,
        "runbook": extras.runbook,
        "explains": list(extras.explains),
        "clearExpr": extras.clear_expr,
        "flap": _flap(extras.flap),
    }


def _flap(flap: Flap | None) -> dict[str, Any] | None:
    if flap is None:
        return None
    return {"changes": flap.changes, "within": flap.within / SECOND, "hold": flap.hold / SECOND}


def _moment(milliseconds: int) -> str:
    return format_moment(milliseconds) if milliseconds else _NEVER


def _value(value: float) -> str:
    """As Go's strconv.FormatFloat(value, 'e', -1, 64) writes it.

    >>> _value(1.0), _value(0.25), _value(float("inf")), _value(float("nan"))
    ('1e+00', '2.5e-01', '+Inf', 'NaN')
    """
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)
