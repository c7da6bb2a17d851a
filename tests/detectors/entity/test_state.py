"""Entities over a window: scores, contributions and their ends; idleness, churn and what is kept."""

from __future__ import annotations

import copy
from concurrent.futures import Executor, Future
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from detectors.engine import Scoring
from detectors.entity.models import ensemble
from detectors.entity.models.baseline import RING
from detectors.entity.models.fit import Models, fit
from detectors.entity.pool import FRESH
from detectors.entity.settings import EntitySettings
from detectors.entity.state import MOST_CLASSES
from detectors.jobs import Job
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.moment import DAY
from tests.detectors.entity.fleet import METRICS, SETTINGS, STEP, WARM, Fleet

SLOW = DetectorSettings(entities=EntitySettings(warm_up="20m", sample=256, trees=4))
HOT = {"DCGM_FI_DEV_GPU_TEMP": 95.0, "DCGM_FI_DEV_SM_CLOCK": 900.0}


@cache
def _warm() -> Fleet:
    fleet = Fleet()
    fleet.scrape(WARM)
    return fleet


@pytest.fixture
def warm() -> Fleet:
    """A fleet that has scores."""
    return copy.deepcopy(_warm())


def test_an_entity_has_both_scores_with_its_own_labels(warm: Fleet) -> None:
    found = warm.results(("fleetowl_anomaly_score",))
    assert len(found) == 2 * warm.gpus
    assert {labels["detector"] for labels in found} == {"state", "change"}
    assert found[0].without("__name__", "detector", "UUID", "gpu") == Labels(
        {"entity": "gpu", "Hostname": "n1", "modelName": "H100", "instance": "n1:9400", "job": "dcgm"}
    )
    assert warm.said(1)[-1][0] == warm.tick - 1, "a moment waits for its grace"


def test_a_fault_is_one_of_its_entity_and_names_what_is_odd(warm: Fleet) -> None:
    warm.scrape(20, HOT)
    assert warm.said(0)[-1][1] > 1
    assert warm.said(0, detector="change")[-1][1] > 1
    assert max(value for gpu in (1, 2) for _, value in warm.said(gpu)[-20:]) < 1
    named = {labels["metric"]: labels for labels in warm.results()}
    assert set(HOT) <= set(named)
    assert len(named) <= 3
    assert named["DCGM_FI_DEV_GPU_TEMP"]["UUID"] == "GPU-0"
    shares = [warm.said(0, "fleetowl_anomaly_contribution", metric=metric)[-1][1] for metric in named]
    assert sum(shares) <= 1
    assert min(shares) >= 0.05


def test_contributions_end_with_the_anomaly(warm: Fleet) -> None:
    warm.scrape(20, HOT)
    assert warm.results() != []
    warm.scrape(40)
    assert warm.said(0)[-1][1] < 1
    assert warm.results() == []


def test_named_features_do_not_flicker(warm: Fleet) -> None:
    told = []
    for tick in range(30):
        # Two features of the five take turns in being odder than the other.
        odd = {
            "DCGM_FI_DEV_GPU_TEMP": 95.0 + 2 * (tick % 2),
            "DCGM_FI_DEV_SM_CLOCK": 1000.0 - 40 * (tick % 3),
        }
        warm.scrape(1, odd)
        told.append({labels["metric"] for labels in warm.results()})
    named = [one for one in told if one]
    assert len(named) > 15
    assert sum(one != other for one, other in pairwise(named)) <= 3


def test_what_happens_while_there_is_nothing_to_do_is_not_judged(warm: Fleet) -> None:
    warm.idle(10)
    assert [tick for tick, _ in warm.said(0) if tick > WARM] == []
    assert [tick for tick, _ in warm.said(1) if tick > WARM] != []
    warm.idle(FRESH // STEP)
    assert len(warm.results(("fleetowl_anomaly_score",))) == 2 * (warm.gpus - 1), "its scores have ended"
    back = warm.tick
    warm.scrape(RING + 5)
    said = [(tick, value) for tick, value in warm.said(0) if tick > back]
    assert said[0][0] == back + 3, "the rates of the first rows are of before"
    assert said[-1][1] < 1


def test_another_pod_does_not_make_another_gpu_of_it(warm: Fleet) -> None:
    before = warm.results(("fleetowl_anomaly_score",))
    warm.pod = "b"
    warm.scrape(10)
    assert warm.results(("fleetowl_anomaly_score",)) == before
    assert warm.said(0)[-1][0] == warm.tick - 1


def test_the_scores_of_one_that_vanished_end_and_it_is_known_when_it_comes_back(warm: Fleet) -> None:
    warm.scrape(5, HOT)
    warm.scrape(FRESH // STEP + 2, leave_out=[0])
    assert not any(labels["UUID"] == "GPU-0" for labels in warm.results(("fleetowl_anomaly_.*",)))
    warm.scrape(RING + 2)
    assert warm.said(0)[-1][0] == warm.tick - 1


def test_what_is_known_of_one_that_is_gone_is_forgotten_after_a_day(warm: Fleet) -> None:
    (pool,) = warm.state.pools
    warm.scrape(leave_out=[0])
    warm.tick += 24 * 3600 * 1000 // STEP
    assert pool.size == 3
    warm.scrape(3, leave_out=[0])
    assert pool.size == 2, "the others had no row for a day either, but have one now"
    warm.scrape(2)
    assert pool.size == 3
    assert [tick for tick, _ in warm.said(0) if tick > WARM] == [], "it warms up anew"


def test_few_features_are_no_whole() -> None:
    fleet = Fleet()
    target = fleet.window.target("n1", STEP)
    for tick in range(5):
        ids = [
            fleet.window.series(target, Labels({"__name__": name, **fleet.labels(0)}), "gauge")
            for name in METRICS[:3]
        ]
        fleet.window.append(target, fleet.now + tick * STEP, np.array(ids), np.ones(3))
        fleet.scoring.step(fleet.now + tick * STEP)
    assert fleet.state.pools == []


def test_a_pool_for_each_model_of_gpu_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.entity.state.MOST_CLASSES", 2)
    fleet = Fleet(gpus=5)
    plain = fleet.labels
    monkeypatch.setattr(fleet, "labels", lambda gpu: {**plain(gpu), "modelName": f"M{gpu}"})
    fleet.scrape(3)
    assert sorted(pool.size for pool in fleet.state.pools) == [1, 1, 3]


def test_it_is_told_what_is_unusual(warm: Fleet) -> None:
    labels = {**warm.labels(0), "entity": "gpu", "alertname": "X"}
    assert warm.scoring.explain({**labels, "UUID": "GPU-9"}) is None
    assert warm.scoring.explain({**labels, "entity": ""}) is None
    warm.scrape(20, HOT)
    found = warm.scoring.explain(labels)
    assert found is not None
    assert (found.kind, found.at) == ("gpu", warm.now - STEP)
    assert found.scores["state"] == pytest.approx(warm.said(0)[-1][1])
    assert max(found.models.values()) > 0
    by_name = {one.feature: one for one in found.contributors}
    hot = by_name["DCGM_FI_DEV_GPU_TEMP"]
    assert hot.value == 95.0
    assert 45 < hot.usual < 70
    assert hot.deviations > 1.5
    assert by_name["DCGM_FI_DEV_SM_CLOCK"].deviations < -1.5
    assert hot.why.startswith("Cooling")


def test_its_metrics(warm: Fleet) -> None:
    samples = {
        (sample.name, sample.labels.get("entity") or sample.labels.get("detector")): sample.value
        for sample in warm.scoring.samples()
    }
    assert samples["fleetowl_entities", "gpu"] == samples["fleetowl_entities_warm", "gpu"] == 3
    assert samples["fleetowl_entities", "engine"] == 0
    age = warm.now / 1000 - samples["fleetowl_entity_models_fitted_timestamp_seconds", "gpu"]
    assert 0 <= age < 300
    assert samples["fleetowl_detector_fits_total", "state"] >= 1


class Never(Executor):
    """A thread that does not get to its work."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def test_the_tick_does_not_wait_for_a_fit() -> None:
    fleet = Fleet()
    fleet.scoring.jobs.beside(Never, lambda: 0.0)
    fleet.scrape(WARM)
    assert fleet.results(("fleetowl_anomaly_score",)) == []


def test_a_fit_that_fails_leaves_the_models_before(
    warm: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (pool,) = warm.state.pools
    before = pool.ensemble.models

    def broken() -> None:
        raise ArithmeticError("no such matrix")

    monkeypatch.setattr(warm.state, "jobs", lambda: [Job(pool.title, broken, pool.ensemble.adopt)])
    warm.scrape(3)
    assert pool.ensemble.models is before
    assert warm.said(0)[-1][0] == warm.tick - 1
    assert [record.getMessage() for record in caplog.records] == [
        "the models of gpu H100 were not fitted, those before stay: ArithmeticError: no such matrix"
    ]


def test_a_lost_first_fit_is_asked_for_again_in_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fitted(*given: Any) -> Models:
        asked.append(fleet.tick)
        if len(asked) < 3:
            raise MemoryError
        return fit(*given)

    monkeypatch.setattr(ensemble, "fit", fitted)
    fleet = Fleet(settings=SLOW)
    fleet.scrape(440)
    minutes = np.diff(asked[:3]) * STEP / 60_000
    assert minutes.tolist() == [5, 10]
    assert fleet.said(0)


def test_a_fit_that_is_lost_by_a_restart_is_asked_for_again() -> None:
    fleet = Fleet(settings=SLOW)
    fleet.scoring.jobs.beside(Never, lambda: 0.0)
    fleet.scrape(242)
    state = fleet.scoring.snapshot()
    fleet.scoring = Scoring(fleet.window, SLOW)
    fleet.scoring.restore(state)
    fleet.scrape(4)
    assert fleet.said(0)


def test_a_class_without_entities_makes_room_for_another() -> None:
    fleet = Fleet(1)
    for number in range(MOST_CLASSES + 1):
        fleet.model, fleet.first = f"model-{number}", 10 * number
        fleet.scrape(2)
        fleet.tick += 2 * DAY // STEP
        remap = fleet.window.compact(fleet.now, 0.0)
        if remap is not None:
            fleet.scoring.remap(remap)
    fleet.scrape(2)
    assert [pool.title for pool in fleet.state.pools] == [f"gpu model-{MOST_CLASSES}"]
    fleet.model, fleet.first = "one more", 1000
    fleet.scrape(2)
    assert "gpu one more" in [pool.title for pool in fleet.state.pools]


@pytest.mark.parametrize("broken", ["0/print", "0/row", "0/ensemble_own", "0/key"])
def test_a_snapshot_that_does_not_fit_changes_nothing(warm: Fleet, broken: str) -> None:
    state = warm.state.snapshot(warm.window.size)
    pools, models = list(warm.state.pools), warm.state.pools[0].ensemble.models
    state[broken] = np.zeros((2, 2))
    with pytest.raises((KeyError, ValueError, TypeError)):
        warm.state.restore(state, warm.window.size)
    assert warm.state.pools == pools
    assert warm.state.pools[0].ensemble.models is models


def test_it_can_be_switched_off() -> None:
    fleet = Fleet(settings=DetectorSettings(enabled=False, entities=SETTINGS.entities))
    fleet.scrape(10)
    assert fleet.state.pools == []
