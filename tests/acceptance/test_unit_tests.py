"""The real promtool and `fleetowl rules test` give the same verdict on the same files.

Debian's promtool is 2.42, whose ranges hold a sample exactly at their left edge: no range here ends on a
sample. It compares floats to the last bit: the arithmetic here is exact.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.moment import SECOND, format_duration
from rules.unittest.report import run_file
from rules.unittest.running import Alerting, Failure, Valued
from tests.rules.promtool import promtool

pytestmark = [pytest.mark.peer, pytest.mark.acceptance]

ALERT = {
    "expr": "load > 1",
    "labels": {"severity": "page", "size": "{{ if gt $value 3.0 }}big{{ else }}small{{ end }}"},
    "annotations": {
        "summary": "{{ $labels.node }} is at {{ $value }} in {{ $externalLabels.cluster }}",
        "others": "{{ range query `node:busy:count > 0` | sortByLabel `rack` }}{{ .Labels.rack }}"
        " {{ .Value }}{{ end }}"
        "{{ with query `no:such:series` }}{{ . | first | value }}{{ else }}none{{ end }}",
    },
}
RULES = {
    "groups": [
        {
            "name": "late",
            "rules": [
                {"record": "alerts:count", "expr": "count by (alertname, alertstate) (ALERTS)"},
                {
                    "alert": "ManyFire",
                    "expr": 'count(ALERTS{alertstate="firing", alertname!="ManyFire"}) > 3',
                },
            ],
        },
        {
            "name": "early",
            "interval": "45s",
            "rules": [
                {"record": "load:max", "expr": "max by (rack) (load)", "labels": {"team": "sre"}},
                {"record": "node:busy:count", "expr": "count_over_time(load:max[34s500ms]) + 1 - 1"},
                {"alert": "LoadMax", "expr": "load:max >= 4", "for": "20s"},
                *[
                    {"alert": f"Load{number}", "for": hold, "keep_firing_for": keep, **ALERT}
                    for number, (hold, keep) in enumerate([("0s", "0s"), ("10s", "0s"), ("25s", "45s")])
                ],
                {"record": "own:alerts", "expr": "count by (alertname, alertstate) (ALERTS)"},
                {"alert": "Gone", "expr": 'absent(load{node="n3"})', "for": "15s"},
            ],
        },
    ]
}
ALERTS = ["ManyFire", "LoadMax", "Load0", "Load1", "Load2", "Gone", "NoSuchAlert"]
EXPRESSIONS = [
    "load",
    "alerts:count",
    "own:alerts",
    "load:max * 2",
    "sum(ALERTS_FOR_STATE) or vector(7)",
    'ALERTS{alertname="Load2"}',
    "3",
    "max_over_time(load[24s500ms])",
    "load unless load",
]


def values(chance: random.Random) -> str:
    """A series in the notation, with all that it knows."""
    words: list[str] = []
    while len(words) < 12:
        words.append(
            chance.choice(["1", "2", "5", "stale", "_", "_x2", "0x3", "4x2", "0+1x5", "6-2x3", "1e0x1", "+2"])
        )
    return " ".join(words)


def a_test(chance: random.Random) -> dict[str, Any]:
    moments = [f"{chance.randrange(0, 300)}s" for _ in range(6)]
    return {
        "name": f"test {chance.random()}",
        "interval": chance.choice(["10s", "15s", "7s"]),
        "external_labels": {"cluster": "eu"},
        "input_series": [
            {"series": f'load{{node="{node}", rack="{rack}"}}', "values": values(chance)}
            for node, rack in (("n1", "a"), ("n2", "a"), ("n3", "b"))
        ],
        "alert_rule_test": [{"eval_time": at, "alertname": name} for at in moments for name in ALERTS],
        "promql_expr_test": [{"eval_time": at, "expr": expr} for at in moments for expr in EXPRESSIONS],
    }


Answers = dict[tuple[str, str], Failure]


def answers(path: Path) -> Answers:
    """What Fleetowl finds wrong, by test and case."""
    outcome = run_file(path)
    assert not outcome.problems, outcome.problems
    assert not any(failure.error for failure in outcome.failures), outcome.failures
    return {(failure.test, f"{failure.subject}, {failure.time}"): failure for failure in outcome.failures}


def expect(document: dict[str, Any], found: Answers) -> None:
    """Write what came into the file as what is expected."""
    for test in document["tests"]:
        for case in test["alert_rule_test"]:
            got = found.get((test["name"], f"alertname: {case['alertname']}, {_ms(case)}"))
            case["exp_alerts"] = [_alert(row) for row in (got.got if got else ())]
        for case in test["promql_expr_test"]:
            got = found.get((test["name"], f"expr: {case['expr']}, {_ms(case)}"))
            case["exp_samples"] = [_sample(row) for row in (got.got if got else ())]


def _ms(case: dict[str, Any]) -> int:
    return int(case["eval_time"].removesuffix("s")) * SECOND


def _alert(row: Alerting | Valued) -> dict[str, Any]:
    assert isinstance(row, Alerting)
    labels = {name: value for name, value in row.labels.items() if name != "alertname"}
    return {"exp_labels": labels, "exp_annotations": dict(row.annotations)}


def _sample(row: Alerting | Valued) -> dict[str, Any]:
    assert isinstance(row, Valued)
    return {"labels": str(row.labels), "value": row.value}


def spoil(document: dict[str, Any], chance: random.Random) -> None:
    """Make some expectations wrong, each in another way."""
    for test in document["tests"]:
        for case in test["alert_rule_test"]:
            if chance.random() < 0.15:
                spoil_alerts(case["exp_alerts"], chance)
        for case in test["promql_expr_test"]:
            if chance.random() < 0.15:
                spoil_samples(case["exp_samples"], chance)


def spoil_alerts(alerts: list[dict[str, Any]], chance: random.Random) -> None:
    if not alerts:
        alerts.append({"exp_labels": {"node": "n7"}})
        return
    way = chance.randrange(4)
    if way == 0:
        alerts.pop()
    elif way == 1:
        alerts.append(alerts[0])
    elif way == 2:
        alerts[-1]["exp_labels"] = {**alerts[-1]["exp_labels"], "node": "n8"}
    else:
        alerts[0]["exp_annotations"] = {"summary": "quite another"}


def spoil_samples(samples: list[dict[str, Any]], chance: random.Random) -> None:
    if not samples:
        samples.append({"labels": "{}", "value": 1})
    elif chance.random() < 0.5:
        samples[-1]["value"] += 1
    else:
        samples.pop()


_FAILED = re.compile(r'name: (.*),\n    alertname: (\S+), time: (\S+?), |expr: "(.*)", time: (\S+?),\n')


def complaints(output: str) -> list[tuple[str, str]]:
    """What promtool finds wrong: the subject and the time."""
    found = [
        (alert or expr.replace('\\"', '"'), at or when)
        for _, alert, at, expr, when in _FAILED.findall(output)
    ]
    return sorted(found)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_verdict_on_random_tests(
    tmp_path: Path, seed: int, peer_binary: Callable[[str], str]
) -> None:
    chance = random.Random(seed)
    (tmp_path / "r.yml").write_text(yaml.safe_dump(RULES))
    document: dict[str, Any] = {
        "rule_files": ["r*.yml"],
        "evaluation_interval": chance.choice(["10s", "15s"]),
        "group_eval_order": ["early", "late"],
        "tests": [a_test(chance) for _ in range(3)],
    }
    path = tmp_path / "t.yml"
    path.write_text(yaml.safe_dump(document))
    expect(document, answers(path))
    path.write_text(yaml.safe_dump(document))
    assert run_file(path).passed
    status, output = promtool(peer_binary, "test", "rules", str(path))
    assert status == 0, output[:4000]

    spoil(document, chance)
    path.write_text(yaml.safe_dump(document))
    ours = sorted(
        (failure.subject.split(": ", 1)[1], format_duration(failure.time))
        for failure in answers(path).values()
    )
    status, output = promtool(peer_binary, "test", "rules", str(path))
    assert status == 1
    assert complaints(output) == ours
    assert ours


BROKEN = [
    "tests: [{interval: 1m, foo: 1}]",
    "tests: [{interval: 1m, alert_rule_test: [{eval_time: 1m}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: 'up ==', eval_time: 1m}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '1', eval_time: 5}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '\"a\"', eval_time: 5s}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '1', exp_samples: [{labels: '{a=', value: 1}]}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '1', exp_samples: [{labels: '{}', value: NaN}]}]}]",
    "tests: [{interval: 1m, input_series: [{series: '{}', values: '1'}]}]",
    "group_eval_order: [a, a]\ntests: []",
    "rule_files: one.yml\ntests: []",
    "tests: {}",
    "[1]",
]
FINE = [
    "tests: []",
    "{}",
    "",
    "tests: [{promql_expr_test: [{expr: '1', exp_samples: [{labels: '{}', value: 1}]}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '1', exp_samples: [{value: 0x1}]}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '10', exp_samples: [{value: 1_0}]}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '-1/0', exp_samples: [{value: -.Inf}]}]}]",
    "tests: [{interval: 1m, promql_expr_test: [{expr: '0', exp_samples: [{labels: , value: }]}]}]",
]


def test_the_same_files_are_broken(tmp_path: Path, peer_binary: Callable[[str], str]) -> None:
    path = tmp_path / "t.yml"
    for text in (*BROKEN, *FINE):
        path.write_text(text)
        status, output = promtool(peer_binary, "test", "rules", str(path))
        assert (status == 0) == (text in FINE), f"{text}: {output}"
        assert run_file(path).passed == (text in FINE), f"{text}: {run_file(path)}"
