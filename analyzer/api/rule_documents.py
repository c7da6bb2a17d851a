"""Groups, rules and alerts as `/api/v1/rules` shows them: Prometheus' keys, Fleetowl's own under `fleetowl`.

Source of the keys: prometheus/prometheus web/api/v1/api.go, RuleDiscovery.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from analyzer.formats import format_scientific, format_when
from model.alert import tier_of
from model.moment import SECOND
from rules.group import AlertRule
from rules.running import GroupState, RuleState
from rules.states import FIRING, PENDING, ActiveAlert


def group_document(state: GroupState, default_interval: int) -> dict[str, Any]:
    """One group. `default_interval` (ms) is what `$scrapes(n)` is shown in."""
    return {
        "name": state.group.name,
        "file": state.group.file,
        "interval": state.interval / SECOND,
        "limit": state.group.limit,
        "evaluationTime": state.duration,
        "lastEvaluation": format_when(state.evaluated_at),
        "rules": [_rule(rule, default_interval) for rule in state.rules],
        "fleetowl": {"missed": state.missed},
    }


def _rule(state: RuleState, default_interval: int) -> dict[str, Any]:
    rule = state.rule
    common = {
        "name": rule.name,
        "query": rule.expression.text,
        "health": "err" if state.error else "ok" if state.evaluated_at else "unknown",
        **({"lastError": state.error} if state.error else {}),
        "evaluationTime": 0.0,
        "lastEvaluation": format_when(state.evaluated_at),
    }
    if not isinstance(rule, AlertRule):
        return {**common, "labels": dict(rule.labels), "type": "recording"}
    labels = {name: template.text for name, template in rule.labels.items()}
    active = list(state.states.active.values()) if state.states is not None else []
    return {
        **common,
        "type": "alerting",
        "state": _state(active),
        "duration": rule.hold.at(default_interval) / SECOND,
        "keepFiringFor": rule.keep_firing_for.at(default_interval) / SECOND,
        "labels": labels,
        "annotations": {name: template.text for name, template in rule.annotations.items()},
        "alerts": [_alert(one) for one in active],
        "fleetowl": {"tier": tier_of(labels).name, "explains": list(rule.extras.explains)},
    }


def _state(active: Iterable[ActiveAlert]) -> str:
    states = {one.state for one in active}
    return FIRING if FIRING in states else PENDING if PENDING in states else "inactive"


def _alert(active: ActiveAlert) -> dict[str, Any]:
    return {
        "labels": dict(active.labels),
        "annotations": dict(active.annotations),
        "state": active.state,
        "activeAt": format_when(active.active_at),
        "value": format_scientific(active.value),
        **({"keepFiringSince": format_when(active.keep_since)} if active.keep_since else {}),
    }
