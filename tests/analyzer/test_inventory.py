"""Kinds of targets: known over a restart and while the target is down, forgotten when it is gone."""

from __future__ import annotations

from collections.abc import Callable

from analyzer.inventory import FORGET_AFTER
from analyzer.pipeline import Pipeline
from model.labels import Labels
from model.moment import HOUR, MINUTE
from telemetry.ingest import TargetIngest
from tests.analyzer.conftest import START

Make = Callable[..., Pipeline]
PAGE = b"vllm:num_requests_running 1\n"


def kinds(pipeline: Pipeline) -> set[str]:
    return {sample.labels["instance"] for sample in pipeline.inventory.samples()}


def scraped(pipeline: Pipeline, instance: str) -> TargetIngest:
    labels = Labels({"job": "vllm", "instance": instance})
    return TargetIngest(pipeline.window, instance, MINUTE, labels)


def step(pipeline: Pipeline, now: int) -> None:
    pipeline.step(now)
    pipeline.keep()


def test_a_target_that_is_gone_is_forgotten_and_one_that_is_down_is_not(make_pipeline: Make) -> None:
    pipeline = make_pipeline(rules={"shipped": False})
    down, gone = scraped(pipeline, "down"), scraped(pipeline, "gone")
    now = START
    for ingest in (down, gone):
        ingest.ingest(PAGE, now)
    step(pipeline, now)
    gone.leave(now + 1)
    while now < START + FORGET_AFTER:
        assert kinds(pipeline) == {"down", "gone"}
        now += 10 * MINUTE
        pipeline.window.advance(now)
        down.fail(now, "it does not answer")
        step(pipeline, now)
    for _ in range(3):
        now += 10 * MINUTE
        down.fail(now, "it does not answer")
        step(pipeline, now)
    assert kinds(pipeline) == {"down"}
    assert kinds(make_pipeline(now, rules={"shipped": False})) == {"down"}, "nor does a restart bring it back"


def test_one_that_comes_back_is_known_again(make_pipeline: Make) -> None:
    pipeline = make_pipeline(rules={"shipped": False})
    ingest = scraped(pipeline, "a")
    ingest.ingest(PAGE, START)
    step(pipeline, START)
    ingest.leave(START + 1)
    now = START
    while now < START + FORGET_AFTER + HOUR:
        now += 10 * MINUTE
        step(pipeline, now)
    assert kinds(pipeline) == set()
    scraped(pipeline, "a").ingest(PAGE, now)
    step(pipeline, now + 1)
    assert kinds(pipeline) == kinds(make_pipeline(now + 2, rules={"shipped": False})) == {"a"}
