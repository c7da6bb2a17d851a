"""Clock events over a sliding window, against counting it all again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.gpu.clock_events import NAMES, ClockEvents


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 0x3FF)), min_size=1))
def test_it_counts_what_lies_in_the_window(steps: list[tuple[int, int]]) -> None:
    events, now, all_of_them = ClockEvents(window=1000), 0, []
    for step, mask in steps:
        now += step
        events.add(now, mask)
        all_of_them.append((now, mask))
        expected = {}
        for bit, name in NAMES.items():
            count = sum(1 for at, each in all_of_them if at > now - 1000 and each & bit)
            if count:
                expected[name] = count
        assert events.counts(now) == expected
