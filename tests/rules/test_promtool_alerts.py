"""The real promtool and the engine go through the same states on the same random series."""

from __future__ import annotations

import math
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from model.labels import Labels
from model.moment import SECOND
from rules.engine import RuleEngine
from rules.files import load_rule_files
from telemetry.bits import STALE_NAN
from telemetry.window import Window

pytestmark = pytest.mark.peer

STEP = 10 * SECOND
STEPS = 60
HOLDS = [("0s", "0s"), ("10s", "0s"), ("25s", "0s"), ("1m", "0s"), ("0s", "30s"), ("20s", "45s")]
RULES = {
    "groups": [
        {
            "name": "g",
            "interval": "10s",
            "rules": [
                {
                    "alert": f"Rule{number}",
                    "expr": "load > 1",
                    "for": hold,
                    "keep_firing_for": keep,
                    "labels": {
                        "severity": "page",
                        "size": "{{ if gt $value 2.0 }}big{{ else }}small{{ end }}",
                    },
                    "annotations": {"summary": "{{ $labels.node }} is at {{ $value }}"},
                }
                for number, (hold, keep) in enumerate(HOLDS)
            ],
        }
    ]
}


def random_loads(chance: random.Random) -> dict[Labels, list[float | None]]:
    """Loads that are high for a while, low for a while, missing or stale now and then."""
    loads: dict[Labels, list[float | None]] = {}
    for node in ("n1", "n2", "n3"):
        values: list[float | None] = []
        while len(values) < STEPS:
            value = chance.choice([0.0, 0.0, 2.0, 2.0, 5.0, None, STALE_NAN])
            values += [value] * chance.choice([1, 1, 2, 3, 7])
        loads[Labels({"__name__": "load", "node": node})] = values[:STEPS]
    return loads


def notation(value: float | None) -> str:
    return "_" if value is None else "stale" if math.isnan(value) else str(value)


def firing_at_each_step(
    rules: Path, loads: dict[Labels, list[float | None]]
) -> list[dict[str, list[object]]]:
    """By step and alert name what fires, as promtool spells it."""
    window = Window()
    engine = RuleEngine(window, load_rule_files([rules]), 0)
    target = window.target("loads", STEP)
    ids = {labels: window.series(target, labels) for labels in loads}
    steps = []
    for step in range(STEPS):
        now = {ids[labels]: v for labels, values in loads.items() if (v := values[step]) is not None}
        window.append(target, step * STEP, np.array(list(now), dtype=np.int64), np.array(list(now.values())))
        found: dict[str, list[object]] = {f"Rule{number}": [] for number in range(len(HOLDS))}
        for alert in engine.step(step * STEP):
            if alert.ends_at is None:
                labels = dict(alert.labels.without("alertname"))
                found[alert.name].append({"exp_labels": labels, "exp_annotations": dict(alert.annotations)})
        steps.append(found)
    return steps


@pytest.mark.parametrize("seed", range(3))
def test_promtool_sees_the_same_alerts(tmp_path: Path, seed: int) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(RULES))
    loads = random_loads(random.Random(seed))
    cases = [
        {"eval_time": f"{step * STEP // SECOND}s", "alertname": name, "exp_alerts": alerts}
        for step, found in enumerate(firing_at_each_step(rules, loads))
        for name, alerts in found.items()
    ]
    series = [
        {"series": str(labels), "values": " ".join(map(notation, values))} for labels, values in loads.items()
    ]
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "10s",
        "tests": [{"interval": "10s", "input_series": series, "alert_rule_test": cases}],
    }
    test = tmp_path / "test.yml"
    test.write_text(yaml.safe_dump(document))
    answer = subprocess.run(["promtool", "test", "rules", str(test)], capture_output=True, text=True)
    assert any(case["exp_alerts"] for case in cases)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[:3000]
