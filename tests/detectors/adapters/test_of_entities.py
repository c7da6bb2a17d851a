"""Detectors of other libraries over entities; the libraries themselves stand in the acceptance tests."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from detectors.adapters import library
from detectors.adapters.library import Way
from detectors.adapters.of_entities import EntityPlaces, OfEntities
from detectors.adapters.settings import CustomSettings
from detectors.engine import Scoring
from detectors.entity.roster import Member
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.moment import DAY
from model.settings import ConfigurationError, load_section
from telemetry.bits import Floats, Ints
from telemetry.snapshot import freeze, thaw
from tests.detectors.entity.fleet import STEP, Fleet

pytestmark = pytest.mark.acceptance

HOT = {"DCGM_FI_DEV_GPU_TEMP": 95.0, "DCGM_FI_DEV_SM_CLOCK": 900.0}


class Furthest(OfEntities):
    """What is furthest from usual."""

    name, fails = "mine", "Never."

    def raw(self, at: int, places: Ints, features: Floats) -> Floats:
        assert features.shape[1] == 19
        return np.asarray(np.abs(features - 0.5).max(axis=1))


@pytest.fixture
def most() -> int:
    return 64


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, most: int) -> Fleet:
    given: dict[str, Any] = {"name": "mine", "use": "river.anomaly.LODA", "entity": "gpu", "warm_up": 40}
    settings = CustomSettings.model_construct(**given, max_series=most, budget=24.0)
    monkeypatch.setattr(
        "detectors.assembly._custom", lambda _, state: iter([Furthest(settings, state.roster)])
    )
    return Fleet()


def test_an_entity_has_a_score_of_its_own(fleet: Fleet) -> None:
    fleet.scrape(70)
    fleet.scrape(5, HOT)
    (found,) = [
        labels
        for labels in fleet.results(("fleetowl_anomaly_score",))
        if (labels["detector"], labels["UUID"]) == ("mine", "GPU-0")
    ]
    assert found == Labels(
        {
            "__name__": "fleetowl_anomaly_score",
            "detector": "mine",
            "entity": "gpu",
            "gpu": "0",
            "UUID": "GPU-0",
            "Hostname": "n1",
            "modelName": "H100",
            "instance": "n1:9400",
            "job": "dcgm",
        }
    )
    scores = dict(fleet.said(0, detector="mine"))
    assert min(scores) == 41, "after its warm-up"
    assert max(value for tick, value in scores.items() if tick <= 70) < 1 < scores[72]
    assert max(value for _, value in fleet.said(1, detector="mine")) < 1


def test_its_scores_end_when_it_is_away_or_has_nothing_to_do(fleet: Fleet) -> None:
    fleet.scrape(60)
    fleet.scrape(30, leave_out=[1])
    living = [one["UUID"] for one in fleet.results(("fleetowl_anomaly_score",)) if one["detector"] == "mine"]
    assert sorted(living) == ["GPU-0", "GPU-2"]
    before = len(fleet.said(0, detector="mine"))
    fleet.idle(10)
    assert len(fleet.said(0, detector="mine")) <= before + 1


@pytest.mark.parametrize("most", [2])
def test_as_many_as_there_are_places_are_watched_and_the_others_counted(fleet: Fleet) -> None:
    fleet.scrape(60)
    watched = {one["UUID"] for one in fleet.results(("fleetowl_anomaly_score",)) if one["detector"] == "mine"}
    assert len(watched) == 2
    counts = {(one.name, one.labels.get("detector")): one.value for one in fleet.scoring.samples()}
    assert counts["fleetowl_detector_left_out_series", "mine"] == 1


def test_who_is_gone_for_a_day_gives_its_place_away() -> None:
    places = EntityPlaces("gpu", 1)
    members = [Member(("a",), 7, 0, True), Member(("b",), 5, 1, True)]
    assert places.find(members[:1], np.array([True])).tolist() == [0]
    assert places.find(members, np.array([True, True])).tolist() == [0, -2]
    places.free(np.array([0]))
    assert places.find(members, np.array([False, True])).tolist() == [-1, 0]
    assert places.ids.tolist() == [5]


def test_a_day_without_a_row_ends_what_is_known(fleet: Fleet) -> None:
    fleet.scrape(60)
    detector = next(one for one in fleet.scoring.detectors if isinstance(one, Furthest))
    fleet.tick += DAY // STEP
    fleet.scrape(3, leave_out=[0])
    assert sorted(detector.tail.count.tolist())[-3:] == [0, 0, 0]


def resumed(fleet: Fleet) -> None:
    frozen = freeze(fleet.window, fleet.now)
    frozen.add("detectors", fleet.scoring.snapshot())
    fleet.window = thaw(frozen)
    fleet.scoring = Scoring(fleet.window)
    assert "from nothing" not in fleet.scoring.restore(frozen.of("detectors"))


def renumbered(fleet: Fleet) -> None:
    other = fleet.window.target("other", STEP)
    fleet.window.series(other, Labels({"__name__": "node_load1", "instance": "o"}))
    fleet.window.drop_target(other.key)
    remap = fleet.window.compact(fleet.now, 0.0)
    assert remap is not None
    fleet.scoring.remap(remap)


@pytest.mark.parametrize("happens", [resumed, renumbered])
def test_neither_a_restart_nor_a_renumbering_changes_a_score(fleet: Fleet, happens: Any) -> None:
    plain = Fleet()
    for each in (plain, fleet):
        each.scrape(55)
        if each is fleet:
            happens(fleet)
        each.scrape(20, HOT)
    for gpu in range(3):
        assert plain.said(gpu, detector="mine") == fleet.said(gpu, detector="mine") != []


def test_a_state_that_does_not_fit_is_none(fleet: Fleet) -> None:
    fleet.scrape(50)
    detector = next(one for one in fleet.scoring.detectors if isinstance(one, Furthest))
    before = detector.snapshot(0)
    for name in before:
        with pytest.raises((KeyError, ValueError)):
            detector.restore({**before, name: before[name][:0]}, 0)
        after = detector.snapshot(0)
        assert all(np.array_equal(before[key], after[key], equal_nan=True) for key in before)
    with pytest.raises(ValueError, match="entities do not fit"):
        detector.restore({**before, "ids": np.full_like(before["ids"], 7)}, 0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"entity": "gpus"}, "entity: must be 'gpu', 'engine' or 'node'"),
        (
            {"entity": "gpu", "metrics": "DCGM_.*"},
            "metrics: 'DCGM_.*' and entity: gpu cannot both be watched",
        ),
        ({}, "metrics: name the metrics whose series it watches, or an entity: gpu, engine or node"),
        ({"entity": "gpu", "lags": 2}, "lags: a row of the entity gpu has the features of docs/entities.md"),
        (
            {"entity": "gpu", "use": "river.drift.ADWIN"},
            "entity: river.drift.ADWIN looks at one value after the other, not at rows of an entity: give it",
        ),
    ],
)
def test_what_cannot_be_watched_is_said_at_load(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr(library, "way_of", lambda use: Way.DRIFT if "drift" in use else Way.SCORER)
    monkeypatch.setattr(library, "built", lambda use, arguments, seed: MagicMock())
    custom = {"name": "mine", "use": "river.anomaly.HalfSpaceTrees", **more}
    with pytest.raises(ConfigurationError) as caught:
        load_section(DetectorSettings, {"custom": [custom]}, "f.yml", "detectors")
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith(f"f.yml: detectors.custom.0.{says}")
