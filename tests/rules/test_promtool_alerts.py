"""The real promtool and the engine go through the same states on the same random series.

Generated cases: `for`, `keep_firing_for`, flapping inputs, gaps and stale markers, the order of rules in a
group, recording rules that take labels away, ALERTS and ALERTS_FOR_STATE, and limits.
"""

from __future__ import annotations

import math
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from model.labels import Labels
from model.moment import MINUTE, SECOND
from rules.engine import RuleEngine
from rules.files import load_rule_files
from rules.promql.answer import Vector
from rules.promql.expression import parse
from telemetry.bits import STALE_NAN
from telemetry.window import Window

pytestmark = [pytest.mark.peer, pytest.mark.acceptance]

STEP = 10 * SECOND
STEPS = 60
HOLDS = [
    ("0s", "0s"),
    ("10s", "0s"),
    ("25s", "0s"),
    ("1m", "0s"),
    ("0s", "30s"),
    ("20s", "45s"),
    ("3s", "1s"),
]
QUERIES = ["ALERTS", "ALERTS_FOR_STATE", "load:high", "count by (alertname) (ALERTS)", "late:copy"]

Loads = dict[Labels, list[float | None]]


def alert(name: str, expr: str, hold: str = "0s", keep: str = "0s") -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": hold,
        "keep_firing_for": keep,
        "labels": {"severity": "page", "size": "{{ if gt $value 2.0 }}big{{ else }}small{{ end }}"},
        "annotations": {"summary": "{{ $labels.node }} is at {{ $value }}"},
    }


def rules_of(chance: random.Random) -> list[dict[str, Any]]:
    """A group whose rules read one another, in an order of their own."""
    rules = [alert(f"Rule{number}", "load > 1", *holds) for number, holds in enumerate(HOLDS)]
    rules += [
        {"record": "load:high", "expr": "load > 1", "labels": {"level": "high", "rack": ""}},
        alert("OnRecord", "load:high > 3", "15s"),
        alert("OnAlert", 'ALERTS{alertname="Rule0", alertstate="firing"}', "10s", "20s"),
        alert("OnState", 'time() - ALERTS_FOR_STATE{alertname="Rule3"} > 25'),
        {"record": "late:copy", "expr": 'sum by (node) (ALERTS{alertname="Rule5"}) + load'},
        alert("OnGap", "absent(load)", "10s"),
    ]
    chance.shuffle(rules)
    return rules


def random_loads(chance: random.Random) -> Loads:
    """Loads that are high for a while, low for a while, missing, stale or flapping now and then."""
    loads: Loads = {}
    for node in ("n1", "n2", "n3"):
        values: list[float | None] = []
        while len(values) < STEPS:
            if chance.random() < 0.2:
                values += [0.0, 2.0] * chance.randint(2, 6)
            value = chance.choice([0.0, 0.0, 2.0, 2.0, 5.0, None, STALE_NAN])
            values += [value] * chance.choice([1, 1, 2, 3, 7])
        loads[Labels({"__name__": "load", "node": node, "rack": "r1"})] = values[:STEPS]
    return loads


def notation(value: float | None) -> str:
    return "_" if value is None else "stale" if math.isnan(value) else str(value)


@dataclass
class Replay:
    """What the engine did at each step: alerts by name, answers by query, and errors of rules."""

    alerts: list[dict[str, list[object]]] = field(default_factory=list)
    answers: list[dict[str, list[object]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def replay(rules: Path, loads: Loads) -> Replay:
    window = Window(retention=60 * MINUTE)
    engine = RuleEngine(window, load_rule_files([rules]), -60 * MINUTE)
    target = window.target("loads", STEP)
    ids = {labels: window.series(target, labels) for labels in loads}
    names = [rule.rule.name for rule in engine.groups[0].rules if rule.states is not None]
    done = Replay()
    for step in range(STEPS):
        now = {ids[labels]: v for labels, values in loads.items() if (v := values[step]) is not None}
        window.append(target, step * STEP, np.array(list(now), dtype=np.int64), np.array(list(now.values())))
        found: dict[str, list[object]] = {name: [] for name in names}
        for told in engine.step(step * STEP):
            if told.ends_at is None:
                labels = dict(told.labels.without("alertname"))
                found[told.name].append({"exp_labels": labels, "exp_annotations": dict(told.annotations)})
        done.alerts.append(found)
        done.answers.append({query: answer(window, query, step * STEP) for query in QUERIES})
        done.errors += [rule.error for rule in engine.groups[0].rules if rule.error]
    return done


def answer(window: Window, query: str, at: int) -> list[object]:
    vector = parse(query).evaluate(window, at)
    assert isinstance(vector, Vector)
    return [
        {"labels": str(labels), "value": value}
        for labels, value in zip(vector.labels, vector.values.tolist(), strict=True)
    ]


def promtool(
    folder: Path, rules: Path, loads: Loads, tests: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    series = [
        {"series": str(labels), "values": " ".join(map(notation, values))} for labels, values in loads.items()
    ]
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "10s",
        "tests": [{"interval": "10s", "input_series": series, **tests}],
    }
    test = folder / "test.yml"
    test.write_text(yaml.safe_dump(document))
    return subprocess.run(["promtool", "test", "rules", str(test)], capture_output=True, text=True)


def cases_of(done: Replay) -> Iterator[tuple[str, dict[str, Any]]]:
    for step, (alerts, answers) in enumerate(zip(done.alerts, done.answers, strict=True)):
        at = f"{step * STEP // SECOND}s"
        for name, told in alerts.items():
            yield "alert_rule_test", {"eval_time": at, "alertname": name, "exp_alerts": told}
        for query, samples in answers.items():
            yield "promql_expr_test", {"eval_time": at, "expr": query, "exp_samples": samples}


def written(folder: Path, group: dict[str, Any]) -> Path:
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "10s", **group}]}))
    return rules


@pytest.mark.parametrize("seed", range(2))
def test_promtool_sees_the_same_alerts_and_series(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rules = written(tmp_path, {"rules": rules_of(chance)})
    loads = random_loads(chance)
    done = replay(rules, loads)
    assert not done.errors
    tests: dict[str, list[dict[str, Any]]] = {"alert_rule_test": [], "promql_expr_test": []}
    for kind, case in cases_of(done):
        tests[kind].append(case)
    assert any(case["exp_alerts"] for case in tests["alert_rule_test"])
    result = promtool(tmp_path, rules, loads, tests)
    assert result.returncode == 0, (result.stdout + result.stderr)[:3000]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["alert", "record"])
def test_promtool_finds_the_limit_exceeded_when_the_engine_does(
    tmp_path: Path, seed: int, limit: int, kind: str
) -> None:
    """Promtool ends at the first error of a rule, so the message and its numbers are compared."""
    rule = alert("A", "load > 1", "0s", "30s") if kind == "alert" else {"record": "r", "expr": "load > 1"}
    rules = written(tmp_path, {"limit": limit, "rules": [rule]})
    loads = random_loads(random.Random(100 + seed))
    done = replay(rules, loads)
    last = f"{(STEPS - 1) * STEP // SECOND}s"
    asked = {"promql_expr_test": [{"eval_time": last, "expr": "vector(1)", "exp_samples": None}]}
    said = promtool(tmp_path, rules, loads, asked)
    output = said.stdout + said.stderr
    assert ("exceeded limit" in output) == bool(done.errors), output[:2000]
    if done.errors:
        number = done.errors[0].split()[5]
        assert f"of {limit} with {number}" in output or f"limit {limit} with {number}" in output, output[
            :2000
        ]
