"""What two tellers say of one XID is paired, whatever the order and the pauses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.xid.pairing import Origin, Pairing

_STEPS = st.lists(
    st.tuples(st.sampled_from(["driver", "kernel"]), st.sampled_from([48, 63]), st.floats(0, 3)), max_size=40
)


@given(_STEPS)
def test_pairing_is_between_the_larger_number_and_the_sum(steps: list[tuple[str, int, float]]) -> None:
    pairing = Pairing()
    now = 0.0
    counted = {48: 0, 63: 0}
    told = {("driver", 48): 0, ("driver", 63): 0, ("kernel", 48): 0, ("kernel", 63): 0}
    for origin, code, pause in steps:
        now += pause
        told[origin, code] += 1
        counted[code] += pairing.new(code, "driver" if origin == "driver" else "kernel", now)
    for code in counted:
        numbers = told["driver", code], told["kernel", code]
        assert max(numbers) <= counted[code] <= sum(numbers)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["driver", "kernel", "words"]), st.integers(1, 5), st.sampled_from([0, 0.05, 2])
        ),
        max_size=30,
    )
)
def test_many_at_once_are_as_many_one_by_one(steps: list[tuple[Origin, int, float]]) -> None:
    at_once, one_by_one = Pairing(), Pairing()
    now = 0.0
    for origin, times, pause in steps:
        now += pause
        single = sum(one_by_one.new("k", origin, now) for _ in range(1 if origin == "words" else times))
        assert at_once.new("k", origin, now, times) == single


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_what_both_tell_at_once_counts_once(pauses: list[float]) -> None:
    pairing = Pairing()
    now, counted = 0.0, 0
    for pause in pauses:
        now += pause
        counted += pairing.new("k", "kernel", now)
        counted += pairing.new("k", "driver", now + 0.01)
    assert counted == len(pauses)
