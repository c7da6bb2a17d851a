"""Whatever people say of anomalies, P0 and P1 alerts stay: of the shipped packs, of all clean rules."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from detectors.feedback.book import Feedback
from model.alert import Tier, tier_of
from model.labels import NAME, Labels
from model.moment import SECOND
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.lint import syntax
from rules.lint.reading import read_rules
from rules.lint.registry import Surroundings, discover
from rules.packs import shipped
from tests.rules.cluster import START, Cluster

CHECK = discover()["weight-decides"]
ANOMALY = {"metric": "DCGM_FI_DEV_GPU_TEMP", "detector": "level"}
WHERE = {"job": "dcgm", "instance": "n1:9400", "node": "n1", "gpu": "3"}
Alerts = list[tuple[Labels, str]]


def urgent(cluster: Cluster) -> Alerts:
    """P0 and P1 alerts, pending ones too."""
    active = cluster.engine.active()
    return sorted((one.labels, one.state) for one in active if tier_of(one.labels) <= Tier.P1)


def series_of(paths: list[Path], chance: np.random.Generator) -> dict[Labels, float]:
    """Two series for each metric that the rules ask for, with values by chance."""
    found: dict[Labels, float] = {}
    for rule in (rule for path in paths for rule in read_rules(path).rules):
        for selector in syntax.selectors(rule.expression):
            name = syntax.metric(selector)
            if not name or name == "fleetowl_anomaly_weight":
                continue
            asked = {m.name: m.value for m in selector.matchers.matchers if syntax.op_of(m) == "="}
            for gpu in ("3", "4"):
                labels = {**WHERE, **(ANOMALY if name.startswith("fleetowl_") else {}), **asked}
                value = float(chance.choice([0.0, 1.0, 5.0, 96.0, 1e5]))
                found[Labels({**labels, "gpu": gpu, NAME: name})] = value
    return found


def told(groups: list[RuleGroup], series: dict[Labels, float], marks: list[str] | None) -> list[Alerts]:
    """The urgent alerts at each of some ticks; `marks` is what people say of every anomaly there is."""
    cluster = Cluster(groups=groups)
    book = Feedback(cluster.window)
    target = cluster.window.target("all", 15 * SECOND)
    seen = []
    for tick in range(8):
        now = START + tick * 15 * SECOND
        cluster.window.advance(now)
        ids = np.array([cluster.window.series(target, labels) for labels in series], np.int64)
        values = np.array(list(series.values())) * (1 + 0.01 * tick)
        cluster.window.append(target, now, ids, values)
        if marks is not None:
            if tick < len(marks):
                book.marked(book.find([])[:100], marks[tick], "ada", now)
            book.step(now)
        cluster.step(now)
        seen.append(urgent(cluster))
    return seen


VERDICTS = st.lists(st.sampled_from(["noise", "real"]), min_size=1, max_size=8)


@pytest.mark.acceptance
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), marks=VERDICTS)
def test_of_the_shipped_packs(pack_groups: list[RuleGroup], seed: int, marks: list[str]) -> None:
    series = series_of(shipped(), np.random.default_rng(seed))
    series[Labels({**WHERE, **ANOMALY, NAME: "fleetowl_anomaly_score"})] = 3.0
    without = told(pack_groups, series, None)
    assert told(pack_groups, series, marks) == without
    assert any(without), "nothing urgent happens"


SELECTORS = st.sampled_from(
    [
        "fleetowl_anomaly_score",
        "fleetowl_anomaly_weight",
        'fleetowl_anomaly_score{detector="level"}',
        '{__name__=~"fleetowl_anomaly_.*"}',
        '{__name__=~"fleetowl_anomaly_s.*"}',
        '{job="dcgm"}',
        '{job="dcgm", __name__!="fleetowl_anomaly_weight"}',
        '{job="dcgm", __name__!~"fleetowl.*"}',
        "DCGM_FI_DEV_GPU_TEMP",
        "r0",
        "r1",
        '{__name__=~"r."}',
        "ALERTS",
        'ALERTS{alertname="a2"}',
        'ALERTS_FOR_STATE{alertname=~"a.*"}',
    ]
)
SHAPES = st.sampled_from(
    [
        "{0} > 1",
        "count({0}) > 1",
        "absent({0})",
        "sum by (gpu) ({0}) < 3",
        "{0} unless on (gpu) {1} < 0.6",
        "{0} * on (gpu) group_left () max by (gpu) ({1}) > 1",
        "max_over_time({0}[1m]) > 0",
        'label_replace({0}, "x", "$1", "gpu", "(.*)") > 0.4',
        "{0} or {1}",
    ]
)
EXPRESSIONS = st.builds(lambda shape, one, other: shape.format(one, other), SHAPES, SELECTORS, SELECTORS)
TIERS = st.sampled_from(["P0", "P1", "P2", "P3"])


@settings(max_examples=15, deadline=None)
@given(
    records=st.lists(EXPRESSIONS, min_size=2, max_size=2),
    alerts=st.lists(st.tuples(EXPRESSIONS, TIERS), min_size=3, max_size=3),
    marks=VERDICTS,
)
@example(
    records=["fleetowl_anomaly_weight < 0.6", "r0"],
    alerts=[
        ("r1", "P2"),
        ('ALERTS{alertname="a0"}', "P1"),
        ("fleetowl_anomaly_score unless on (gpu) r1", "P0"),
    ],
    marks=["noise"],
)
def test_of_any_rules_that_pass_the_check(
    records: list[str], alerts: list[tuple[str, str]], marks: list[str]
) -> None:
    lines = ["groups:", "- name: g", "  interval: 15s", "  rules:"]
    lines += [f"  - {{record: r{n}, expr: '{expr}'}}" for n, expr in enumerate(records)]
    lines += [
        f"  - {{alert: a{n}, expr: '{expr}', labels: {{tier: {tier}}}}}"
        for n, (expr, tier) in enumerate(alerts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.rules.yml"
        path.write_text("\n".join(lines))
        rules = read_rules(path).rules
        groups = load_rule_files([path])
    around = Surroundings(rules)
    bad = {rule.name for rule in rules if any(CHECK.find(rule, around))}
    series = {Labels({**WHERE, NAME: "DCGM_FI_DEV_GPU_TEMP"}): 80.0}
    for gpu in ("3", "4"):
        series[Labels({**WHERE, **ANOMALY, "gpu": gpu, NAME: "fleetowl_anomaly_score"})] = 3.0

    def of_clean(seen: list[Alerts]) -> list[Alerts]:
        return [[one for one in at if one[0]["alertname"] not in bad] for at in seen]

    assert of_clean(told(groups, series, marks)) == of_clean(told(groups, series, None))
