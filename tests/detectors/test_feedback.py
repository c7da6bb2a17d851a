"""What people said of anomalies: the weights, their series, and what survives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.feedback.book import EVERY, MOST_AT_ONCE, WEIGHT, Feedback
from detectors.feedback.mark import LOWEST, Mark, weight_of
from detectors.feedback.tables import SCHEMA
from model.labels import Labels
from model.matcher import Matcher, Op
from store.database import Database
from store.durable import persist, restore
from store.opening import open_database
from telemetry.window import Window

NOW = 1_700_000_000_000
HOT = {"gpu": "3", "node": "n1", "job": "dcgm", "metric": "DCGM_FI_DEV_GPU_TEMP", "detector": "level"}


def window_with(*series: dict[str, str], name: str = "fleetowl_anomaly_score") -> Window:
    window = Window()
    window.advance(NOW)
    target = window.target("n1", 5_000)
    for labels in series:
        sid = window.series(target, Labels({"__name__": name, **labels}), "gauge")
        window.append(target, NOW, np.array([sid]), np.array([3.0]))
    return window


def weights(window: Window, at: int) -> list[tuple[dict[str, str], float]]:
    found = []
    for selection in window.select([Matcher("__name__", Op.EQUAL, WEIGHT)]):
        _, values, present = selection.range(at - 1, at)
        for place, labels in enumerate(selection.labels):
            rows = values[present[:, place], place]
            if len(rows) and not np.isnan(rows[-1]):
                found.append((dict(labels.without("__name__")), float(rows[-1])))
    return found


def gpu(number: str = "3") -> list[Matcher]:
    return [Matcher("gpu", Op.EQUAL, number)]


def test_noise_halves_the_weight_real_raises_it_and_undoing_takes_it_back() -> None:
    window = window_with(HOT, {**HOT, "gpu": "4"})
    book = Feedback(window)
    series = book.find(gpu())
    assert series == [Labels(HOT)]
    said = book.marked(series, "noise", "ada", NOW, "it is summer")
    assert said.why.startswith("ada marked {")
    assert said.why.endswith(" as noise: weight 0.5")
    book.step(NOW)
    assert weights(window, NOW) == [(HOT, 0.5)]
    book.marked(series, "noise", "ada", NOW)
    book.step(NOW + 1)
    assert weights(window, NOW + 1) == [(HOT, 0.25)]
    book.marked(series, "real", "bob", NOW)
    book.step(NOW + 2)
    assert weights(window, NOW + 2) == [(HOT, 0.5)]
    for id in (1, 2, 3):
        assert book.undo(id, "bob", NOW)
    book.step(NOW + 3)
    assert weights(window, NOW + 3) == []
    assert [mark.undone_by for mark in book.marks(undone=True)] == ["bob"] * 3
    assert not book.undo(1, "bob", NOW)
    assert not book.undo(9, "bob", NOW)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["noise", "real"]), st.booleans()), max_size=30))
def test_a_weight_is_within_its_bounds_whatever_is_said(said: list[tuple[str, bool]]) -> None:
    marks = [
        Mark(n, Labels(HOT), verdict, "a", n, undone_at=n if undone else None)
        for n, (verdict, undone) in enumerate(said)
    ]
    assert LOWEST <= weight_of(marks) <= 1
    assert weight_of(marks) == weight_of([mark for mark in marks if mark.counts])


def test_what_was_said_survives_a_restart_and_follows_the_labels(tmp_path: Path) -> None:
    database: Database = open_database(f"sqlite:///{tmp_path / 'state.db'}", NOW)[0]
    database.create(SCHEMA)
    first = Feedback(window_with(HOT))
    first.marked(first.find(gpu()), "noise", "ada", NOW, "summer")
    first.marked(first.find(gpu()), "noise", "ada", NOW)
    first.undo(2, "ada", NOW)
    assert persist(database, [first])
    assert not first.dirty
    window = window_with({**HOT, "gpu": "9"}, HOT)  # other ids
    second = Feedback(window)
    restore(database, [second], NOW)
    assert second.marks(undone=True) == first.marks(undone=True)
    second.step(NOW)
    assert weights(window, NOW) == [(HOT, 0.5)]
    second.marked(second.find(gpu()), "real", "ada", NOW)
    assert [mark.id for mark in second.marks()] == [3, 1]
    database.close()


def test_a_renumbering_of_the_window_changes_no_weight() -> None:
    window = window_with(HOT)
    book = Feedback(window)
    book.marked(book.find(gpu()), "noise", "ada", NOW)
    other = window.target("other", 5_000)
    window.series(other, Labels({"__name__": "x", "instance": "o"}), "gauge")
    book.step(NOW)
    window.drop_target("other")
    window.compact(NOW)
    book.step(NOW + EVERY)
    assert weights(window, NOW + EVERY) == [(HOT, 0.5)]


def test_a_weight_goes_on_as_long_as_it_counts() -> None:
    window = window_with(HOT)
    book = Feedback(window)
    book.marked(book.find(gpu()), "noise", "ada", NOW)
    book.step(NOW)
    book.step(NOW + EVERY - 1)
    assert weights(window, NOW + EVERY - 1) == []
    book.step(NOW + EVERY)
    assert weights(window, NOW + EVERY) == [(HOT, 0.5)]


@pytest.mark.parametrize(
    ("alert", "found"),
    [
        ({"alertname": "Hot", "tier": "P2", **HOT}, [HOT]),
        ({"metric": HOT["metric"], "detector": "level", "node": "n1"}, [HOT, {**HOT, "gpu": "4"}]),
        ({"metric": HOT["metric"], "node": "n2"}, []),
        ({"node": "n1", "alertname": "Hot"}, []),
        ({"metric": HOT["metric"], "job": "dcgm"}, []),
    ],
)
def test_the_anomaly_behind_an_alert(alert: dict[str, str], found: list[dict[str, str]]) -> None:
    book = Feedback(window_with(HOT, {**HOT, "gpu": "4"}))
    assert book.behind(alert) == [Labels(labels) for labels in found]


def test_what_is_too_much_or_not_there_is_refused() -> None:
    book = Feedback(window_with(*({**HOT, "gpu": str(n)} for n in range(MOST_AT_ONCE + 1))))
    assert "name them more closely" in book.marked(book.find([]), "noise", "ada", NOW).why
    assert "there is no such anomaly series" in book.marked([], "noise", "ada", NOW).why
    assert book.marks() == []
