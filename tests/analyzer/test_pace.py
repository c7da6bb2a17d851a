"""While alerts wait: senders first, then the backlog; P0 is in every tick anyway."""

from __future__ import annotations

import pytest

from analyzer.pace import FEWEST, MOST, Pace


def test_a_tick_beside_senders_is_short_and_rests_longer_than_it_works() -> None:
    pace = Pace()
    for _ in range(20):
        seconds = pace.at_once * 200e-6  # a machine on which an alert takes 200 us
        pace.after(seconds, calm=False)
    assert pace.at_once * 200e-6 == pytest.approx(0.05, rel=0.1)
    assert pace.rest >= 2 * 0.05


def test_without_senders_the_backlog_has_nearly_all_of_the_time() -> None:
    pace = Pace()
    for _ in range(20):
        pace.after(pace.at_once * 200e-6, calm=True)
    assert pace.at_once * 200e-6 == pytest.approx(0.15, rel=0.1)
    assert pace.rest < 0.1 * pace.at_once * 200e-6


def test_whatever_a_tick_took_the_next_one_comes_soon_and_takes_some() -> None:
    pace = Pace()
    for _ in range(20):
        assert FEWEST <= pace.after(5.0, calm=False) <= MOST
        assert pace.rest <= 0.25
    for _ in range(20):
        assert FEWEST <= pace.after(0.0, calm=True) <= MOST
