"""Detectors of river and pyod themselves: importing and compiling them takes seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detectors.adapters import library
from detectors.adapters.made import made
from detectors.adapters.pickled import dumped, loaded
from detectors.adapters.settings import CustomSettings
from detectors.contract import Columns, Moment, MomentDetector, StreamDetector
from detectors.entity.roster import Roster
from detectors.jobs import Jobs
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.settings import ConfigurationError, load_section
from telemetry.window import Window
from tests.detectors.entity.fleet import Fleet

pytestmark = pytest.mark.acceptance

STEP = 5_000
DETECTORS = (
    "river.anomaly.HalfSpaceTrees",
    "river.anomaly.LODA",
    "river.anomaly.GaussianScorer",
    "river.anomaly.PredictiveAnomalyDetection",
    "river.anomaly.LocalOutlierFactor",
    "river.drift.ADWIN",
    "river.drift.KSWIN",
    "river.drift.PageHinkley",
    "pyod.models.hbos.HBOS",
    "pyod.models.ecod.ECOD",
    "pyod.models.knn.KNN",
)


def custom(use: str, **more: object) -> CustomSettings:
    plain = {"name": "mine", "use": use, "metrics": "m.*", "sample": 256}
    return CustomSettings.model_validate({**plain, **more})


def no_rosters(kind: str) -> Roster:
    raise AssertionError("series have none")


class Runner:
    """A detector over a window of a few series, without the engine."""

    def __init__(self, settings: CustomSettings, series: int = 2) -> None:
        self.window, self.detector, self.jobs = Window(), made(settings, no_rosters), Jobs()
        target = self.window.target("t", STEP)
        self.ids = np.array(
            [
                self.window.series(target, Labels({"__name__": "m1", "i": str(n)}), "gauge")
                for n in range(series)
            ]
        )
        self.detector.notice(self.window, 0)

    def step(self, tick: int, values: Any) -> list[float]:
        times = np.full(len(self.ids), (tick + 1) * STEP)
        if isinstance(self.detector, MomentDetector):
            results = self.detector.step(Moment(int(times[0]), times, values))
            self.jobs.take("mine", self.detector.jobs())
        else:
            assert isinstance(self.detector, StreamDetector)
            results = self.detector.step(Columns(times, self.ids, values))
        scores = dict(zip(results.subjects.tolist(), results.values[:, 0].tolist(), strict=True))
        return [scores.get(sid, float("nan")) for sid in self.ids.tolist()]


def story(ticks: int, shift_at: int) -> Any:
    busy = 0.5 + 0.35 * np.sin(np.arange(ticks) / 19)
    values = 3 + 14 * busy[:, None] + 0.5 * np.random.default_rng(4).normal(size=(ticks, 2))
    values[shift_at:, 0] += 30
    return values


def scored(settings: CustomSettings, ticks: int, shift_at: int) -> tuple[Any, Any]:
    """The scores before a shift of the first of two series, and its scores from then on."""
    runner, values = Runner(settings), story(ticks, shift_at)
    scores = np.array([runner.step(tick, row) for tick, row in enumerate(values)])
    assert runner.detector.failures == 0
    assert np.isfinite(scores[400:]).all()
    return scores[:shift_at], scores[shift_at:, 0]


@pytest.mark.parametrize(
    "use",
    [use for use in DETECTORS if "drift" not in use and not use.endswith("LocalOutlierFactor")],
)
def test_a_shift_stands_out_and_what_is_usual_does_not(use: str) -> None:
    """Not that it is above 1: how far most of these scores can rise, an hour does not tell."""
    quiet, after = scored(custom(use), 850, 800)
    assert np.nanmax(quiet) < 1
    assert np.nanmax(after) > 1.5 * np.nanmax(quiet)


@pytest.mark.parametrize("use", ["river.anomaly.HalfSpaceTrees", "river.anomaly.GaussianScorer"])
def test_a_shift_is_scored_above_1(use: str) -> None:
    assert np.nanmax(scored(custom(use), 850, 800)[1]) > 1


def test_a_drift_is_scored_2() -> None:
    quiet, after = scored(custom("river.drift.ADWIN"), 800, 740)
    assert (np.nanmax(quiet), np.nanmax(after)) == (0, 2)


def test_its_state_does_not_grow() -> None:
    for use in ("river.anomaly.HalfSpaceTrees", "river.anomaly.LODA", "pyod.models.ecod.ECOD"):
        runner, grown = Runner(custom(use)), []
        for tick, row in enumerate(story(900, 900)):
            runner.step(tick, row)
            grown.append(runner.detector.bytes)
        assert grown[899] <= 1.05 * grown[450]


@pytest.mark.parametrize("use", DETECTORS)
def test_a_restart_changes_no_score(use: str) -> None:
    settings, values = custom(use), story(260, 240)
    one, other = Runner(settings), Runner(settings)
    for tick, row in enumerate(values):
        expected = one.step(tick, row)
        if tick in (10, 90, 155, 245):
            state = other.detector.snapshot(2)
            other = Runner(settings)
            other.detector.restore(state, 2)
        assert np.array_equal(other.step(tick, row), expected, equal_nan=True), tick


@pytest.mark.parametrize("use", ["river.anomaly.HalfSpaceTrees", "pyod.models.hbos.HBOS"])
def test_a_state_that_does_not_fit_leaves_the_detector_as_it_was(use: str) -> None:
    runner = Runner(custom(use))
    for tick, row in enumerate(story(150, 150)):
        runner.step(tick, row)
    before = runner.detector.snapshot(2)
    for name in before:
        with pytest.raises((KeyError, ValueError)):
            runner.detector.restore({key: array for key, array in before.items() if key != name}, 2)
        with pytest.raises((KeyError, ValueError)):
            runner.detector.restore({**before, name: before[name][:1][:0]}, 2)
        after = runner.detector.snapshot(2)
        assert all(np.array_equal(before[key], after[key], equal_nan=key != "models") for key in before)


def test_another_version_argument_or_sample_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    use = "river.drift.ADWIN"
    versions = {
        made(custom(use), no_rosters).version,
        made(custom(use, arguments={"delta": 0.1}), no_rosters).version,
        made(custom("river.drift.KSWIN"), no_rosters).version,
    }
    monkeypatch.setattr(library, "version_of", lambda path: "0.99")
    assert len({*versions, made(custom(use), no_rosters).version}) == 4


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ({"use": "river.anomaly.HalfSpaceTree"}, "use", "did you mean HalfSpaceTrees?"),
        ({"use": "river.anomalies.HalfSpaceTrees"}, "use", "there is no such module: river.anomalies"),
        ({"use": "river.linear_model.LinearRegression"}, "use", "is not a detector"),
        ({"use": "river.anomaly.QuantileFilter"}, "use", "only filters the scores of another detector"),
        ({"use": "river.drift.binary.DDM"}, "use", "like river.drift.ADWIN"),
        ({"use": "river.anomaly.hst.collections"}, "use", "is not a class of river"),
        ({"use": "pyod.models.base.BaseDetector"}, "arguments", "does not take these arguments"),
        ({"use": "pyod.models.ecod.ecod"}, "use", "ECOD"),
        ({"use": "pyod.models.auto_encoder.AutoEncoder"}, "use", "needs the module torch"),
        ({"use": "river.drift.ADWIN", "arguments": {"delt": 1}}, "arguments", "it takes delta, clock"),
        ({"use": "pyod.models.hbos.HBOS", "arguments": {"contamination": 3}}, "arguments", "contamination"),
        (
            {
                "use": "river.anomaly.PredictiveAnomalyDetection",
                "arguments": {"predictive_model": {"use": "os.x"}},
            },
            "arguments",
            "'os.x' cannot be used",
        ),
    ],
)
def test_what_cannot_be_used_is_said_at_load(more: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(CustomSettings, {"name": "mine", "metrics": "m", **more}, "f.yml", "detectors.custom.0")
    assert f"f.yml: detectors.custom.0.{key}: " in str(caught.value)
    assert says in str(caught.value)


def test_an_object_of_the_library_may_be_an_argument() -> None:
    holt = {"use": "river.time_series.HoltWinters", "arguments": {"alpha": 0.3}}
    runner = Runner(custom("river.anomaly.PredictiveAnomalyDetection", arguments={"predictive_model": holt}))
    for tick, row in enumerate(story(60, 60)):
        runner.step(tick, row)
    assert runner.detector.failures == 0


def test_what_the_library_fails_at_is_counted_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "detectors.adapters.trial.try_out", lambda *_: None
    )  # what passes there may fail later
    runner = Runner(custom("pyod.models.lof.LOF", arguments={"algorithm": "none"}))
    for tick, row in enumerate(story(300, 300)):
        assert np.isnan(runner.step(tick, row)).all()
    (fits,) = [one for one in runner.jobs.samples() if one.name == "fleetowl_detector_fit_failures_total"]
    assert fits.value >= 2
    said = [record.message for record in caplog.records if "were not fitted" in record.message]
    assert len(said) == 1
    assert "mine of m1" in said[0]


def test_no_class_of_river_is_lost_in_the_bytes_of_a_model() -> None:
    for use in DETECTORS:
        if use.startswith("river"):
            model = library.built(use, {}, 3)
            assert type(loaded(dumped(model))) is type(model)


@pytest.mark.parametrize("use", ["river.anomaly.HalfSpaceTrees", "pyod.models.knn.KNN"])
def test_an_entity_is_judged_by_its_rows(use: str) -> None:
    """A GPU that is hot and slow stands out among three, though each feature alone is one of 19."""
    arguments = {"window_size": 60} if use.startswith("river") else {}
    one = {"name": "mine", "use": use, "entity": "gpu", "sample": 256, "arguments": arguments}
    fleet = Fleet(settings=DetectorSettings.model_validate({"custom": [one]}))
    fleet.scrape(300)
    fleet.scrape(10, {"DCGM_FI_DEV_GPU_TEMP": 95.0, "DCGM_FI_DEV_SM_CLOCK": 900.0})
    ill, well = (dict(fleet.said(gpu, detector="mine")) for gpu in (0, 1))
    assert min(ill) > 120
    quiet = [value for tick, value in (ill | well).items() if tick <= 300]
    assert max(quiet) < 1
    assert max(value for tick, value in ill.items() if tick > 301) > 1.5 * max(quiet)
    assert max(value for tick, value in well.items() if tick > 301) < 1
