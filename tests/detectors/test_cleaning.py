"""What a series is scored as follows the type of its metric, whenever that becomes known."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.contract import EXPECTED_LOW
from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import is_stale
from tests.detectors.listening import NOW, STEP, House

WORK = Labels({"__name__": "app_work", "instance": "a"})


def scraped(house: House, ticks: range) -> None:
    """A counter that counts 10 a second."""
    target = house.window.target("a", STEP)
    sid = house.window.series(target, WORK)
    house.names[sid] = "app_work"
    for tick in ticks:
        house.window.append(target, NOW + tick * STEP, np.array([sid]), np.array([1_000.0 + 50 * tick]))
        house.step()


def test_a_counter_of_unknown_type_is_taken_as_a_gauge_until_its_type_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    house = House()
    scraped(house, range(10))
    house.window.registry.types["app_work"] = "counter"
    scraped(house, range(10, 20))
    values = dict(house.heard("app_work"))
    assert values[9 * STEP] == 1_450.0
    assert [values[tick * STEP] for tick in range(11, 20)] == [10.0] * 9
    assert 10 * STEP not in values, "one count makes no rate"
    assert [record.message for record in caplog.records if "app_work" in record.message] == [
        "series are judged anew, for their type is known now: app_work"
    ]


def test_what_was_known_of_its_values_is_forgotten_and_what_was_said_ends() -> None:
    house = House()
    house.scoring.demand("app_work")
    scraped(house, range(5))
    (low,) = house.window.search([Matcher("__name__", Op.EQUAL, EXPECTED_LOW)])[0]
    known = house.scoring._cleaning.rates
    house.window.registry.types["app_work"] = "counter"
    before = len(house.listener.forgotten)
    scraped(house, range(5, 6))
    assert is_stale(house.window.last(np.array([low]))[1])[0]
    assert house.listener.forgotten[before:] == [house.window.find(WORK)]
    assert np.isfinite(known.value[house.window.find(WORK)]), "its first count is known"


def test_a_series_that_comes_before_the_type_is_known_and_one_after_are_scored_alike() -> None:
    house = House()
    scraped(house, range(5))
    other = house.window.series(house.window.target("b", STEP), WORK.merged({"instance": "b"}), "counter")
    assert other > 0
    scraped(house, range(5, 10))
    assert dict(house.heard("app_work"))[9 * STEP] == 10.0


def test_senders_that_disagree_do_not_begin_it_anew_again_and_again() -> None:
    house = House()
    scraped(house, range(3))
    for tick in range(3, 9):
        house.window.registry.types["app_work"] = ("counter", "gauge")[tick % 2]
        scraped(house, range(tick, tick + 1))
    assert len(house.listener.forgotten) <= 1


@pytest.mark.parametrize("known", [True, False])
def test_a_restart_goes_on_with_what_it_was_scored_as(known: bool) -> None:
    """Also where the type has become known since the last step."""
    house = House()
    if known:
        house.window.series(house.window.target("a", STEP), WORK, "counter")
    scraped(house, range(5))
    house.window.registry.types["app_work"] = "counter"
    house.resume()
    scraped(house, range(5, 10))
    values = dict(house.heard("app_work"))
    assert values[9 * STEP] == 10.0
    assert (5 * STEP in values) is known, "a rate goes on; of a gauge nothing is kept"
