"""The budget of a node: never exceeded for long, and an equal share for everybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.engines.budget import NodeBudget


@given(
    st.integers(1, 100),
    st.lists(st.lists(st.integers(0, 120), min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_whatever_they_want_it_comes_to_a_rest_within_the_total(total: int, rounds: list[list[int]]) -> None:
    budget = NodeBudget(total)
    for wishes in rounds:
        for _ in range(3):
            held = []
            for owner, wish in enumerate(wishes):
                held.append(min(wish, budget.room(owner)))
                budget.hold(owner, held[-1])
        assert sum(held) <= total
        assert all(has >= min(wish, total // len(wishes)) for has, wish in zip(held, wishes, strict=True))
        if sum(wishes) >= total:
            assert sum(held) == total, "nothing lies idle"
        else:
            assert held == wishes
