"""The search in the time rings: one group is searched in another way than many, with the same answer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.arena import Budget
from telemetry.cadence import Cadence


@given(st.integers(1, 8), st.integers(0, 30), st.integers(-2, 70))
def test_the_rank_of_one_group_is_that_among_many(slots: int, arrivals: int, at: int) -> None:
    cadence = Cadence(1, slots, False, Budget(1 << 20))
    columns = cadence.add(2)
    for arrival in range(arrivals):
        cadence.open(columns, np.full(2, 2 * arrival, np.int64))
    both = cadence.rank(columns, at)
    assert both.tolist() == [*cadence.rank(columns[:1], at), *cadence.rank(columns[1:], at)]
    kept = range(2 * max(0, arrivals - slots), 2 * arrivals, 2)
    assert both[0] == sum(time <= at for time in kept)
