"""The real promtool and Fleetowl evaluate the same expressions on the same random series.

Debian's promtool is 2.42, where range windows still include a sample exactly at their left edge. The
series are evaluated half a step beside the samples, so that no sample lies on an edge. Its extrapolation
limits a counter at zero before the threshold, later versions after it; the counters here stand so high,
and fall but once, that neither ever matters. The deviation of a single infinite value was 0, it is NaN in
later versions. Nothing else is left out.
"""

from __future__ import annotations

import math
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from model.labels import Labels
from model.moment import SECOND
from rules.promql.answer import Scalar
from rules.promql.expression import parse
from telemetry.bits import STALE_NAN, is_stale
from telemetry.window import Window

pytestmark = pytest.mark.peer

STEP = 10 * SECOND
SAMPLES = 40
SERIES = [
    Labels({"__name__": name, "node": node, "gpu": gpu, "rack": "r1" if node < "n3" else "r2"})
    for name in ("counter", "gauge")
    for node in ("n1", "n2", "n3")
    for gpu in ("0", "1")
]

EXPRESSIONS = [
    "gauge",
    "gauge offset 35s",
    'gauge{node=~"n1|n2", gpu!="0"}',
    'gauge{node!~"n[12]"}',
    "-gauge",
    *[f"gauge {op} 3" for op in ("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=")],
    "10 > bool gauge",
    "gauge > bool 3",
    "3 - gauge",
    *[f"rate(counter[{span}])" for span in ("30s", "1m", "2m", "5m")],
    *[f"increase(counter[{span}])" for span in ("30s", "2m")],
    *[f"delta(gauge[{span}])" for span in ("30s", "2m")],
    "irate(counter[1m])",
    "idelta(gauge[1m])",
    "changes(gauge[2m])",
    "resets(counter[5m])",
    *[
        f"{kind}_over_time(gauge[90s])"
        for kind in ("avg", "sum", "min", "max", "count", "last", "present", "stddev", "stdvar")
    ],
    *[f"{op} by (node) (gauge)" for op in ("sum", "avg", "min", "max", "count", "group")],
    "stddev by (node) (abs(gauge) < Inf)",
    "sum without (gpu) (rate(counter[1m]))",
    "quantile by (rack) (0.9, gauge)",
    "topk by (rack) (2, counter)",
    "bottomk(3, counter)",
    "count(gauge > 3)",
    "count_values by (rack) ('size', round(gauge * 2) / 4)",
    "counter / ignoring (nothing) gauge",
    "gauge / on (node) group_left sum by (node) (counter)",
    "sum by (node) (counter) * on (node) group_right gauge",
    "gauge * on (rack) group_left (z) label_replace(sum by (rack) (gauge), 'z', 'z-$1', 'rack', 'r(.)')",
    "gauge > on (node, gpu) counter / 300000",
    "sum by (rack) (gauge) < bool on (rack) sum by (rack) (counter)",
    "gauge and gauge > 2",
    "gauge > 4 or gauge < 2",
    'gauge unless on (node) gauge{gpu="0"} > 3',
    'absent(gauge{node="n9"})',
    'absent(gauge{node="n1"})',
    "vector(3) > 1",
    "scalar(sum(gauge)) + 1",
    "abs(gauge - 3)",
    "clamp_min(gauge, 2)",
    "clamp_max(gauge, 2)",
    "round(gauge, 0.3)",
    "label_replace(gauge, 'card', '$1-$2', 'node', '(.)(.)')",
    "time() - 1",
    "deriv(gauge[2m])",
    "predict_linear(counter[2m], 3600)",
    "quantile_over_time(0.8, gauge[2m])",
    *[
        f"{part}(counter * 1000)"
        for part in ("minute", "hour", "day_of_week", "day_of_month", "days_in_month")
    ],
    *["month(counter * 1000)", "year(counter * 1000)", "hour() + minute()"],
]
MOMENTS = [95 * SECOND, 205 * SECOND, 385 * SECOND, 445 * SECOND]


def random_series(chance: random.Random) -> dict[Labels, list[float | None]]:
    """Gauges and counters with gaps, resets, stale markers and series that begin late."""
    return {labels: _values(chance, labels.name == "counter") for labels in SERIES}


def _values(chance: random.Random, counter: bool) -> list[float | None]:
    begin = chance.choice([0, 0, chance.randrange(SAMPLES)])
    value, fallen = chance.uniform(1e6, 2e6), False
    values: list[float | None] = [None] * begin
    while len(values) < SAMPLES:
        event = chance.random()
        if event < 0.04:
            values.append(STALE_NAN)
        elif event < 0.2:
            values.append(None)
        elif not counter:
            odd = chance.choice([math.nan, math.inf, -math.inf])
            values.append(
                odd if event > 0.96 else chance.choice([chance.randrange(6), chance.uniform(-2, 6)])
            )
        else:
            reset = event < 0.3 and not fallen
            fallen = fallen or reset
            value = value * 0.8 if reset else value + chance.choice([0, chance.uniform(0, 50)])
            values.append(value)
    return values


def window_of(series: dict[Labels, list[float | None]]) -> Window:
    window = Window()
    target = window.target("random", STEP)
    ids = {labels: window.series(target, labels) for labels in series}
    for place in range(SAMPLES):
        now = {ids[labels]: v for labels, values in series.items() if (v := values[place]) is not None}
        window.append(target, place * STEP, np.array(list(now)), np.array(list(now.values())))
    return window


def notation(value: float | None) -> str:
    if value is None:
        return "_"
    if math.isnan(value):
        return "stale" if is_stale(np.array([value]))[0] else "NaN"
    return {math.inf: "Inf", -math.inf: "-Inf"}.get(value, repr(float(value)))


def as_promtool_case(window: Window, text: str, at: int) -> dict[str, object]:
    """What Fleetowl answers, as the expectation of a promtool test."""
    answer = parse(text).evaluate(window, at)
    assert not isinstance(answer, str)
    if isinstance(answer, Scalar):
        samples = [{"value": answer.value, "labels": "{}"}]
    else:
        samples = [
            {"labels": str(labels), "value": float(value)}
            for labels, value in zip(answer.labels, answer.values, strict=True)
        ]
    return {"expr": text, "eval_time": f"{at // SECOND}s", "exp_samples": samples}


_CASE = re.compile(r'expr: "(.*)", time: (\S+),\n\s+exp: ?(.*)\n\s+got: ?(.*)')
_SAMPLE = re.compile(r"(\{.*?\}|\w*\{.*?\}) ([-+\w.]+)(?:, |$)")


def beyond_rounding(output: str) -> list[str]:
    """What promtool, which compares to the last bit, finds wrong by more than 1e-9 relative."""
    wrong = []
    for expr, time, expected, got in _CASE.findall(output):
        one, other = (dict(_SAMPLE.findall(text)) for text in (expected, got))
        if one.keys() != other.keys() or not all(_close(float(one[k]), float(other[k])) for k in one):
            wrong.append(f"{expr} at {time}: Fleetowl {expected}, promtool {got}")
    return wrong


def _close(one: float, other: float) -> bool:
    both_nan = math.isnan(one) and math.isnan(other)
    return both_nan or one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_promtool_gives_the_same_answers(tmp_path: Path, seed: int) -> None:
    series = random_series(random.Random(seed))
    window = window_of(series)
    document = {
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [
                    {"series": str(labels), "values": " ".join(map(notation, values))}
                    for labels, values in series.items()
                ],
                "promql_expr_test": [
                    as_promtool_case(window, text, at) for text in EXPRESSIONS for at in MOMENTS
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(document))
    answer = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True)
    output = answer.stdout + answer.stderr
    wrong = beyond_rounding(output)
    # Every complaint has been read: none is of another kind than a difference of values.
    assert output.count("expr: ") == len(_CASE.findall(output)), output[-2000:]
    assert answer.returncode == 0 or "exp:" in output, output[-2000:]
    assert not wrong, "\n".join(wrong[:20])
