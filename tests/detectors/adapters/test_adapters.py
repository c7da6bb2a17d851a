"""Detectors of river and pyod by configuration: errors at load, scores, restarts, what is bounded.

Only what a light import allows is here; the libraries themselves stand in the acceptance tests.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from detectors.adapters import library
from detectors.adapters.custom import Custom
from detectors.adapters.features import Features
from detectors.adapters.pickled import dumped, loaded
from detectors.adapters.places import Places
from detectors.adapters.settings import CustomSettings
from detectors.adapters.tail import Tail
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.settings import ConfigurationError, load_section
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap, Window


def problems(**custom: object) -> str:
    whole = {"name": "mine", "metrics": "node_load1", **custom}
    with pytest.raises(ConfigurationError) as caught:
        load_section(DetectorSettings, {"custom": [whole]}, "fleetowl.yml", "detectors")
    return str(caught.value)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("os.system", "name a class of river or pyod, for example river.anomaly.HalfSpaceTrees"),
        ("river", "name a class of river or pyod"),
        ("river..anomaly", "name a class of river or pyod"),
        ("sklearn.ensemble.IsolationForest", "name a class of river or pyod"),
    ],
)
def test_nothing_but_river_and_pyod_may_be_named(use: str, says: str) -> None:
    said = problems(use=use)
    assert said.startswith("fleetowl.yml: detectors.custom.0.use: ")
    assert repr(use) in said
    assert says in said


def test_a_missing_library_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyod", None)
    monkeypatch.setitem(sys.modules, "pyod.models", None)
    monkeypatch.setitem(sys.modules, "pyod.models.ecod", None)
    said = problems(use="pyod.models.ecod.ECOD")
    assert "detectors.custom.0.use: " in said
    assert "not installed" in said


def test_names_are_free_metrics_are_expressions_and_keys_are_known() -> None:
    assert "level is a detector of Fleetowl's own: give this one another name" in problems(
        use="os.x", name="level"
    )
    said = problems(use="os.x", metrics="a(", lgs=3)
    assert "detectors.custom.0.metrics: 'a(' is not a regular expression" in said
    assert "did you mean lags?" in said


class Fake:
    """A detector that takes any argument and fits none."""

    def fit(self, rows: np.ndarray) -> None:
        raise ValueError("n_bins is set to -4")


def test_what_only_a_fit_dislikes_is_said_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "way_of", lambda use: library.Way.ROWS)
    monkeypatch.setattr(library, "built", lambda use, arguments, seed: Fake())
    said = problems(use="pyod.models.hbos.HBOS", arguments={"n_bins": -4})
    assert said.startswith(
        "fleetowl.yml: detectors.custom.0.arguments: pyod.models.hbos.HBOS with n_bins: -4"
    )
    assert said.endswith("ValueError: n_bins is set to -4")


def test_what_an_import_prints_is_part_of_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(module: str) -> None:
        print("please install torch first")
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(library, "import_module", load)
    said = problems(use="pyod.models.auto_encoder.AutoEncoder")
    assert said.endswith(
        "needs the module torch, which is not installed: it says 'please install torch first'"
    )
    assert capsys.readouterr() == ("", "")


def test_two_of_one_name_are_said_with_what_else_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "way_of", lambda use: library.Way.DRIFT)
    monkeypatch.setattr(library, "built", lambda use, arguments, seed: MagicMock())
    one = {"name": "mine", "use": "river.drift.ADWIN", "metrics": "m"}
    custom = [one, {**one, "lags": 0, "lgs": 1, "refit_interval": "1s"}, {**one, "name": ""}]
    with pytest.raises(ConfigurationError) as caught:
        load_section(DetectorSettings, {"custom": custom}, "fleetowl.yml", "detectors")
    assert [
        str(problem).removeprefix("fleetowl.yml: detectors.custom.") for problem in caught.value.problems
    ] == [
        "1.lags: must be greater than or equal to 1, got 0",
        "1.refit_interval: must be greater than or equal to 1m, got 1s",
        "1.lgs: unknown key (did you mean lags?)",
        "2.name: must not be empty",
        "1.name: 'mine' is the name of custom.0 already: give this one another",
    ]


def test_a_module_of_a_library_that_is_not_there_is_said() -> None:
    assert "there is no such module: river.drft; did you mean drift?" in problems(use="river.drft.ADWIN")


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("a(?=b)", "is not a regular expression (RE2): "),
        ("fleetowl_.*", "names only series of Fleetowl's own"),
        ("fleetowl_a|fleetowl_b", "names only series of Fleetowl's own"),
    ],
)
def test_a_pattern_that_finds_nothing_is_said(metrics: str, says: str) -> None:
    assert f"detectors.custom.0.metrics: {metrics!r} {says}" in problems(use="os.x", metrics=metrics)
    assert ".metrics: " not in problems(use="os.x", metrics="fleetowl_a|b")


def test_without_custom_detectors_no_library_is_loaded() -> None:
    code = "import sys, detectors.engine as e; e.detectors_of(e.DetectorSettings());" + (
        "print(sorted({'river', 'pyod', 'sklearn'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def window_of(names: list[str]) -> Window:
    window = Window()
    target = window.target("node", 5_000)
    for number, name in enumerate(names):
        window.series(target, Labels({"__name__": name, "instance": str(number)}), "gauge")
    return window


def test_as_many_series_as_there_are_places_are_watched_and_the_others_counted() -> None:
    places = Places("node_load.*", 2)
    places.notice(window_of(["node_load1", "up", "node_load5", "fleetowl_x", "node_load15"]), 0)
    assert places.watched(5).tolist() == [True, False, True, False, False]
    assert places.left_out == 1


def test_a_place_that_is_free_goes_to_who_had_none() -> None:
    window = Window()
    gone, stays = window.target("gone", 5_000), window.target("stays", 5_000)
    for target, name in ((gone, "a"), (stays, "b")):
        sid = window.series(target, Labels({"__name__": "node_load1", "instance": name}), "gauge")
        window.append(target, 1_000, np.array([sid]), np.array([1.0]))
    places = Places("node_load1", 1)
    places.notice(window, 0)
    window.drop_target(gone.key)
    remap = window.compact(1_000)
    assert remap is not None
    assert places.remap(remap).tolist() == [0]
    places.notice(window, 0)
    assert places.watched(window.size).tolist() == [True]
    assert places.left_out == 0


def test_features_are_between_0_and_1_whatever_comes() -> None:
    features = Features(1, 3, 5)
    place = np.array([0])
    rows = [features.step(place, np.array([value])) for value in (*range(10), 1e300, -1e300, 3.0)]
    assert all(np.isnan(row).any() for row in rows[:7]), "nothing is known yet"
    known = np.concatenate(rows[7:])
    assert ((known >= 0) & (known <= 1)).all()
    assert rows[-1][0, 0] > 0.99
    assert rows[-1][0, 1] < 0.01


def test_a_score_of_1_is_as_rare_as_the_budget_where_the_tail_is_exponential() -> None:
    """At 24 a day of one-minute samples one in 60 may exceed 1."""
    places, many = 50, 2_000
    tail = Tail(places, 60, budget=24.0, most=100.0)
    drawn = np.random.default_rng(1).exponential(3.0, size=(many, places))
    at = np.arange(places)
    over = [tail.step(at, np.full(places, (tick + 1) * 60_000), drawn[tick]) > 1 for tick in range(many)]
    part = float(np.mean(over[500:]))
    assert 0.4 / 60 < part < 2.5 / 60, part


def test_while_all_scores_are_the_same_nothing_is_known_of_their_tail() -> None:
    tail = Tail(1, 10, budget=0.05, most=100.0)
    step = [tail.step(np.array([0]), np.array([tick * 5_000]), np.array([0.0])) for tick in range(100)]
    assert np.isnan(step).all()
    assert int(tail.count[0]) == 1


class Evil:
    def __reduce__(self) -> Any:
        return getattr, ("".join, "format")


@pytest.mark.parametrize(
    "data",
    [
        dumped(np.random.default_rng(1))[:-5],
        b"",
        dumped(pickle.Unpickler),
        dumped(Evil()),
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x10detectors.engine\x8c\x07Scoring\x93.",
    ],
)
def test_bytes_that_are_no_model_make_nothing(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a model"):
        loaded(data)


def test_what_models_consist_of_comes_back() -> None:
    random = np.random.RandomState(3)
    again = loaded(dumped({"g": random, "a": np.arange(3.0), "s": {1, 2}, "f": np.float64(2.0)}))
    assert again["g"].normal() == random.normal()
    assert again["a"].tolist() == [0, 1, 2]


class Plain(Custom):
    """Asks nobody."""

    def raw(self, at: int, places: Ints, features: Floats) -> Floats:
        return np.zeros(len(places))

    def remap(self, remap: IdRemap) -> None: ...


def test_a_restart_warms_up_again_at_once_or_when_the_alarm_is_over() -> None:
    """At the latest after as many samples as a warm-up has."""
    fields: dict[str, Any] = {
        "name": "mine",
        "use": "river.drift.ADWIN",
        "metrics": "m",
        "warm_up": 40,
        "max_series": 3,
    }
    features = Features(3, 4, 20)
    detector = Plain(CustomSettings.model_construct(**fields), Places("m", 3), features)
    places = np.arange(3)
    features.count[:] = 100
    detector.scored(places, np.array([0.5, 2.0, 2.0]))
    detector.restart(places)
    assert features.count.tolist() == [0, 100, 100]
    detector.scored(places, np.array([np.nan, 0.9, 2.0]))
    assert features.count.tolist() == [0, 0, 100]
    for _ in range(38):
        detector.scored(places[2:], np.array([2.0]))
    assert features.count[2] == 100
    detector.scored(places[2:], np.array([2.0]))
    assert features.count[2] == 0
