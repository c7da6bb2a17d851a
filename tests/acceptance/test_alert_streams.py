"""The generated streams of bench.alerts: the same again by seed, in order, and as the shipped rules speak."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from bench.alerts import fleet
from bench.alerts.dialects import Own
from bench.alerts.faults import KINDS
from bench.alerts.recording import record
from bench.alerts.scenarios import single
from bench.alerts.streams import LEAD, START, Told, alerts_of, generate
from model.moment import parse_moment

pytestmark = pytest.mark.acceptance


def streams(seed: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, stream in generate([1, 8], ["own", "foreign"], seed):
        yield name, list(stream)


def test_a_seed_gives_the_same_streams_in_the_order_of_time() -> None:
    once, again = dict(streams(3)), dict(streams(3))
    assert json.dumps(once) == json.dumps(again)
    for name, lines in once.items():
        moments = [parse_moment(line["at"]) for line in lines]
        assert moments == sorted(moments), name
        assert {line["fault"] for line in lines} - {None}, f"{name} has no fault"
        assert any(line["fault"] is None for line in lines), f"{name} has no noise"
        last = {json.dumps(line["alert"]["labels"], sort_keys=True): line for line in lines if line["fault"]}
        assert all(line["alert"]["endsAt"] <= line["at"] for line in last.values()), f"{name} does not end"


def test_the_generator_speaks_as_the_shipped_rules_do() -> None:
    recording = record("G01", minutes=3, warm=3, repaired=False)
    heard = {labels["alertname"]: at / 1000 for labels, at in reversed(recording.first.items())}
    whole = fleet.build(1, 1)
    told = alerts_of(whole, single(whole, KINDS["G01"], random.Random(1)), Own(), random.Random(1))
    said = {one.labels["alertname"]: one for one in told if one.fault}
    chain = ["GpuLost", "EngineGone", "NodeGpusMissing", "ServingPodCrashLooping"]
    assert set(chain) <= set(heard), "the recorded fault has another chain"
    assert set(heard) <= set(said), "a rule speaks that the generator does not know"
    for labels in recording.first:
        assert set(labels) == set(said[labels["alertname"]].labels), labels["alertname"]
        assert {labels["tier"], labels["kind"]} < set(said[labels["alertname"]].labels.values())
    for one in chain:
        for other in chain:
            if heard[one] + 25 < heard[other]:
                assert _begins(said[one]) < _begins(said[other]), f"{one} comes before {other}"
    for name in chain:
        assert abs(_begins(said[name]) - heard[name]) <= 75, name


def _begins(told: Told) -> float:
    return told.begins - START - LEAD
