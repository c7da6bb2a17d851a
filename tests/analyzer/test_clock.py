from __future__ import annotations

import logging

import pytest

from analyzer.clock import Clock


class Wall:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_small_step_back_is_waited_out() -> None:
    wall = Wall()
    clock = Clock(wall)
    first = clock.now()
    wall.seconds -= 5
    assert clock.now() == first
    wall.seconds += 6
    assert clock.now() == first + 1000


def test_a_large_step_back_is_followed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    wall = Wall()
    clock = Clock(wall)
    first = clock.now()
    wall.seconds -= 3600
    with caplog.at_level(logging.WARNING):
        assert clock.now() == first - 3_600_000
    assert "set back by 1h" in caplog.text


def test_a_step_ahead_is_followed() -> None:
    wall = Wall()
    clock = Clock(wall)
    first = clock.now()
    wall.seconds += 3600
    assert clock.now() == first + 3_600_000
