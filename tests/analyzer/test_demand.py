"""What queries demand of the detectors ends; what rules demand stays as long as the rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer import demand as module
from analyzer.demand import KEEP
from analyzer.pipeline import Pipeline
from model.labels import Labels
from rules.files import load_rule_files
from rules.promql.answer import Vector
from rules.promql.expression import parse
from telemetry.ingest import TargetIngest
from tests.analyzer.conftest import START

Make = Callable[..., Pipeline]
SCORE = 'fleetowl_anomaly_score{metric="%s"}'
RULES = """
groups:
  - name: scores
    rules:
      - alert: Odd
        expr: fleetowl_anomaly_score{metric="ruled"} > 1
"""


class Fleet:
    def __init__(self, pipeline: Pipeline, *metrics: str) -> None:
        self.pipeline = pipeline
        self.now = START
        self._metrics = metrics
        self._ingest = TargetIngest(pipeline.window, "fleet", 15_000, Labels({"job": "fleet"}))

    def run(self, milliseconds: int) -> None:
        for _ in range(milliseconds // 15_000):
            self.now += 15_000
            self.pipeline.window.advance(self.now)
            families = dict.fromkeys(name.partition("{")[0] for name in self._metrics)
            lines = "".join(f"# TYPE {name} gauge\n" for name in families)
            lines += "".join(f"{name} 1\n" for name in self._metrics)
            self._ingest.ingest(lines.encode(), self.now)
            self.pipeline.step(self.now)

    def ask(self, metric: str) -> list[str]:
        return self.pipeline.demand.ask(parse(SCORE % metric), self.now).warnings

    def scored(self, metric: str) -> bool:
        value = self.pipeline.evaluate(parse(SCORE % metric), self.now)
        assert isinstance(value, Vector)
        return bool(value.labels)


@pytest.fixture
def fleet(make_pipeline: Make, tmp_path: Path) -> Fleet:
    rules = tmp_path / "scores.rules.yml"
    rules.write_text(RULES)
    fleet = Fleet(make_pipeline(rules={"shipped": False, "files": [str(rules)]}), "asked", "ruled", "a", "b")
    fleet.run(40 * 60_000)
    return fleet


def test_a_querys_demand_ends_when_nobody_asks_any_more(fleet: Fleet) -> None:
    assert not fleet.scored("asked")
    assert fleet.ask("asked") == []
    fleet.run(60_000)
    assert fleet.scored("asked")
    fleet.run(KEEP - 90_000)
    fleet.ask("asked")
    fleet.run(KEEP - 60_000)
    assert fleet.scored("asked"), "asked again, it lasts again"
    fleet.run(120_000)
    assert not fleet.scored("asked"), "its series have ended at once, not after the look-back"
    assert fleet.scored("ruled")


def test_what_is_asked_again_after_its_end_comes_back(fleet: Fleet) -> None:
    fleet.ask("asked")
    fleet.run(KEEP + 60_000)
    assert not fleet.scored("asked")
    fleet.ask("asked")
    fleet.run(60_000)
    assert fleet.scored("asked")


def test_a_rules_demand_ends_with_the_rule(fleet: Fleet, tmp_path: Path) -> None:
    fleet.run(60_000)
    assert fleet.scored("ruled")
    rules = tmp_path / "other.rules.yml"
    rules.write_text(RULES.replace('fleetowl_anomaly_score{metric="ruled"}', "asked"))
    fleet.pipeline.reload(fleet.pipeline.settings, load_rule_files([rules]), [], fleet.now)
    fleet.run(30_000)
    assert not fleet.scored("ruled")


def test_what_a_rule_demands_too_goes_on(fleet: Fleet) -> None:
    fleet.ask("ruled")
    fleet.run(KEEP + 60_000)
    assert fleet.scored("ruled")


def test_queries_demand_no_more_than_a_limit_and_no_names_without_series(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ASKED", 2)
    for number in range(10):
        assert fleet.ask(f"no_such_metric_{number}") == []
    assert fleet.ask("a") == fleet.ask("b") == []
    (sentence,) = fleet.ask("asked")
    assert sentence.startswith("the scores of asked are not kept: queries ask for 2 metrics already")
    fleet.run(60_000)
    assert (fleet.scored("a"), fleet.scored("asked")) == (True, False)


@pytest.mark.parametrize(
    ("query", "notes"),
    [
        ("fleetowl_anomaly_score > 1", ["fleetowl_anomaly_score of single series is made for the metrics"]),
        (
            'fleetowl_anomaly_score{detector="level", metric!="a"}',
            ["fleetowl_anomaly_score of single series"],
        ),
        ('fleetowl_anomaly_score{metric="asked"}', ["fleetowl_anomaly_score of asked is made from the next"]),
        ('fleetowl_anomaly_score{metric="ruled"}', []),
        ('fleetowl_anomaly_score{metric="no_such_metric"}', ["there is no series of the metric no_such_"]),
        ('fleetowl_anomaly_score{metric="up"}', ["up is never scored: see docs/detection-inputs.md"]),
        (
            'fleetowl_anomaly_score{metric=~"a|b|asked|ruled|up"}',
            ["fleetowl_anomaly_score of a, asked, b is made"],
        ),
        ('fleetowl_anomaly_score{entity="gpu"}', []),
        ('fleetowl_anomaly_score{detector="state"}', []),
        ("asked", []),
    ],
)
def test_who_asks_is_told_what_is_not_there(fleet: Fleet, query: str, notes: list[str]) -> None:
    found = fleet.pipeline.demand.ask(parse(query), fleet.now).infos
    assert len(found) == len(notes)
    assert all(said.startswith(begin) for said, begin in zip(found, notes, strict=True))


def test_what_is_kept_needs_no_word(fleet: Fleet) -> None:
    fleet.ask("asked")
    assert fleet.pipeline.demand.ask(parse(SCORE % "asked"), fleet.now) == ([], [])
    (said,) = fleet.pipeline.demand.ask(parse("fleetowl_anomaly_score"), fleet.now).infos
    assert "2 at the moment" in said


def test_a_pattern_leaves_room_for_names(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ASKED", 2)
    told = fleet.pipeline.demand.ask(parse('fleetowl_anomaly_score{metric=~".+"}'), fleet.now)
    (refused,) = told.warnings
    assert refused.startswith("the scores of asked, b are not kept: queries ask for 1 metrics already")
    assert refused.endswith("ask for it by name, without a pattern")
    assert told.infos == [
        "fleetowl_anomaly_score of a is made from the next sample on, or when its series are warm: ask again "
        "then"
    ]
    assert fleet.ask("asked") == [], "who names one has a place"
    assert fleet.pipeline.demand.ask(parse(SCORE % "b"), fleet.now).infos == [], "a refusal says it all"


def test_queries_demand_no_more_than_so_many_series(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SOURCES", 2)
    assert fleet.ask("a") == fleet.ask("b") == fleet.ask("a") == []
    (sentence,) = fleet.ask("asked")
    assert sentence.startswith(
        "the scores of asked are not kept: it has 1 series, and queries ask for 2 of at most 2"
    )
    fleet.run(KEEP + 30_000)
    assert fleet.ask("asked") == []


def test_queries_leave_the_last_tenth_of_the_window_alone(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = fleet.pipeline.window
    cost = fleet.pipeline.scoring.cost("fleetowl_anomaly_score")
    limits = window.limits.model_copy(update={"series": int((window.series_count + cost) / 0.9) + 2})
    monkeypatch.setattr(window, "limits", limits)
    assert fleet.ask("a") == []
    (sentence,) = fleet.ask("asked")
    assert "the last tenth is for what is measured" in sentence


def test_a_rule_that_comes_later_takes_a_querys_demand_over(fleet: Fleet, tmp_path: Path) -> None:
    fleet.ask("asked")
    rules = tmp_path / "later.rules.yml"
    rules.write_text(RULES.replace("ruled", "asked"))
    fleet.pipeline.reload(fleet.pipeline.settings, load_rule_files([rules]), [], fleet.now)
    fleet.run(KEEP + 60_000)
    assert fleet.scored("asked")


def test_an_end_right_after_a_renumbering_ends_nothing_else(make_pipeline: Make) -> None:
    pipeline = make_pipeline(rules={"shipped": False})
    old = TargetIngest(pipeline.window, "old", 15_000, Labels({"job": "old"}))
    page = b"".join(b"old_%d 1\n" % number for number in range(5))
    fleet = Fleet(pipeline, *(f'asked{{n="{number}"}}' for number in range(30)), "other")
    for _ in range(160):
        old.ingest(page, fleet.now)
        fleet.run(15_000)
    fleet.ask("asked")
    fleet.run(60_000)
    new = TargetIngest(pipeline.window, "new", 15_000, Labels({"job": "new"}))
    new.ingest(page.replace(b"old", b"new"), fleet.now)
    pipeline.window.drop_target("old")
    remap = pipeline.window.compact(fleet.now)
    assert remap is not None
    pipeline.scoring.remap(remap)
    pipeline.rules.remap(remap)
    pipeline.scoring.release("asked", fleet.now, "fleetowl_anomaly_score")
    fleet.now += 1000
    assert not fleet.scored("asked")
    value = pipeline.evaluate(parse('count({job=~"fleet|new", metric=""})'), fleet.now)
    assert isinstance(value, Vector)
    assert value.values.tolist() == [30 + 1 + 5 + 2 * 5], "its sources, the new ones, and what scrapes report"
    fleet.run(15_000)
    fleet.ask("other")
    fleet.run(60_000)
    assert fleet.scored("other")
    assert not fleet.scored("asked")
