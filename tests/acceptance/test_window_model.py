"""The window against a dict of lists, as in tests/telemetry/test_window_model.py, over more histories."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.telemetry.test_window_model import WindowAgainstNaive
from tests.telemetry.test_window_model import short_rings as short_rings

pytestmark = pytest.mark.acceptance


class ManyHistories(WindowAgainstNaive):
    """The same, five times as often."""


ManyHistories.TestCase.settings = settings(WindowAgainstNaive.TestCase.settings, max_examples=100)

TestManyHistories = ManyHistories.TestCase
