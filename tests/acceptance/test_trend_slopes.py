"""The slopes of trends against those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.trends.fit import lines

pytestmark = pytest.mark.acceptance


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100), st.floats(-1e6, 1e6))
def test_slopes_are_those_of_scipy(seed: int, slope: float, start: float) -> None:
    from scipy.stats import theilslopes

    places = np.arange(32.0)
    values = start + slope * places + np.random.default_rng(seed).normal(size=32) * slope
    assert lines(values[None]).slope[0] == pytest.approx(theilslopes(values, places).slope, rel=1e-9)
