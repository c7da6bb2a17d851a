"""Many results at once: a step makes so many and no more, and a full window costs a few tries."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from detectors import companions as module
from detectors.contract import EMPTY, EXPECTED_HIGH, EXPECTED_LOW, Columns, Results
from detectors.lanes import Lane
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from telemetry.bits import Ints, is_stale
from telemetry.window import IdRemap, Window, WindowLimits
from tests.detectors.listening import NOW, STEP, Listener

COUNT = 30


class Of(Listener):
    """Its subjects are entities, numbered anew after a renumbering; `names` are theirs."""

    by_source = False
    names = ("old",)

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        return Labels({NAME: result, "entity": self.names[subject]})

    def home(self, subject: int) -> int:
        return 0


class House:
    def __init__(self, limit: int = 10_000) -> None:
        self.window = Window(limits=WindowLimits(series=limit))
        self.lane = Lane(self.window, Listener(), module.Effort())
        self.target = self.window.target("a", STEP)
        self.lane.demand("m")
        labels = [Labels({NAME: "m", "i": str(number)}) for number in range(COUNT)]
        self.ids: Ints = np.array([self.window.series(self.target, each, "gauge") for each in labels])
        self.lane.notice(0)
        self.at = NOW

    def step(self) -> int:
        """Returns how many series there are beside the sources."""
        self.at += STEP
        self.window.append(self.target, self.at, self.ids, np.ones(COUNT))
        self.lane.companions._effort.begin()
        times = np.full(COUNT, self.at)
        self.lane.write(self.lane.detector.step(Columns(times, self.ids, np.ones(COUNT))))  # type: ignore[attr-defined]
        return self.window.series_count - COUNT


def test_a_step_makes_so_many_series_and_the_next_ones_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MADE", 20)
    house = House()
    assert [house.step() for _ in range(4)] == [20, 40, 60, 60]
    assert house.lane.companions.refused == 0
    assert house.lane.companions.postponed == 40 + 20, "what is not there is counted"


def test_only_the_result_that_is_demanded_is_made_and_ends_alone() -> None:
    house = House()
    house.lane = Lane(house.window, Listener(), module.Effort())
    house.lane.demand("m", EXPECTED_HIGH)
    with patch.object(house.window, "find", wraps=house.window.find) as find:
        assert house.step() == COUNT
    assert find.call_count == COUNT, "nobody asks for the others"
    high = house.window.search([Matcher(NAME, Op.EQUAL, EXPECTED_HIGH)])[0]
    house.lane.demand("m", EXPECTED_LOW)
    house.lane.demand("m")
    assert house.step() == 2 * COUNT
    low = house.window.search([Matcher(NAME, Op.EQUAL, EXPECTED_LOW)])[0]
    house.lane.release("m", house.at, EXPECTED_HIGH)
    assert not is_stale(house.window.last(high)[1]).any(), "somebody still wants both"
    house.lane.release("m", house.at)
    assert is_stale(house.window.last(high)[1]).all()
    assert not is_stale(house.window.last(low)[1]).any()


def test_a_step_looks_so_many_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SOUGHT", 20)
    house = House()
    with patch.object(house.window, "find", wraps=house.window.find) as find:
        assert house.step() == 20
    assert find.call_count == 20


def test_a_full_window_is_tried_a_few_times_a_step() -> None:
    house = House(limit=COUNT)
    with patch.object(house.window, "series", wraps=house.window.series) as series:
        house.step()
        house.step()
    assert series.call_count == 2 * module.MOST_REFUSED
    assert house.lane.companions.refused == 2 * COUNT
    house.window.limits.__dict__["series"] = 10_000  # there is room again
    assert house.step() == 2 * COUNT


def test_a_renumbering_costs_no_look_up() -> None:
    house = House()
    house.step()
    house.lane.companions.renumbered(IdRemap(np.arange(house.window.size), house.window.size))
    with patch.object(house.window, "find") as find:
        assert house.step() == 2 * COUNT
    find.assert_not_called()


def test_what_no_subject_takes_over_after_a_renumbering_ends() -> None:
    house = House()
    detector = Of()
    lane = Lane(house.window, detector, module.Effort())

    def tell() -> None:
        house.step()
        lane.write(Results(np.array([house.at]), np.array([0]), np.ones((1, 2)), EMPTY, EMPTY))

    tell()
    detector.names = ("new",)
    lane.renumbered(IdRemap(np.arange(house.window.size), house.window.size))
    for _ in range(module.FORGOTTEN // STEP + 1):
        tell()
    for entity, ended in (("old", True), ("new", False)):
        ids = house.window.search([Matcher("entity", Op.EQUAL, entity)])[0]
        assert is_stale(house.window.last(ids)[1]).tolist() == [ended, ended], entity
