"""Values in natural units, and counters that keep what they have grown to whatever happens to their rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.nvml.table import Counter, Gpu
from simulator.nvml.values import apply, apply_bogus, set_rate

SECOND = 10**9


def _count(counter: Counter, now: int) -> float:
    """The library's formula."""
    return float(counter.whole + counter.part + counter.rate * (now - counter.since) / SECOND)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 3600 * SECOND)), max_size=30))
def test_a_counter_grows_by_each_rate_for_its_time(steps: list[tuple[float, int]]) -> None:
    counter, now, expected = Counter(), 0, 0.0
    for rate, time in steps:
        set_rate(counter, rate, now)
        assert _count(counter, now) == pytest.approx(expected, rel=1e-9, abs=1e-3)
        expected += rate * time / SECOND
        before, now = _count(counter, now), now + time
        assert _count(counter, now) >= before
    assert 0 <= counter.part < 1


def test_units_are_natural() -> None:
    gpu = Gpu(link_count=4, temperature_gpu_max=87)
    apply(gpu, {"power": 412.5, "memory_used": "3GiB", "temperature": 95, "violation_power_rate": 0.25}, 0)
    assert (gpu.power, gpu.power_average, gpu.memory_used) == (412_500, 412_500, 3 << 30)
    assert (gpu.energy.rate, gpu.violation[0].rate, gpu.temperature_margin) == (412_500, 0.25 * SECOND, -8)
    apply(gpu, {"nvlink_tx_bytes_rate": 100, "ecc_sbe": 7, "tensor_activity": 30}, 0)
    assert [gpu.links[link].tx_bytes.rate for link in range(5)] == [25, 25, 25, 25, 0]
    assert (gpu.ecc_sbe.whole, gpu.ecc_sbe_aggregate.whole, gpu.activity[4].rate) == (7, 7, 30)


def test_the_time_of_a_reason_is_counted_while_it_holds() -> None:
    gpu = Gpu()
    apply(gpu, {"reasons": ["hw_thermal", "sw_power_cap"]}, 0)
    apply(gpu, {"reasons": ["hw_power_brake"]}, 3 * SECOND)
    apply(gpu, {"reasons": []}, 5 * SECOND)
    counters = (gpu.violation[0], gpu.violation[1], gpu.reason_hw_thermal, gpu.reason_power_brake)
    assert [_count(counter, 9 * SECOND) / SECOND for counter in counters] == [3, 3, 3, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"utilization": -1}, "utilization: -1 cannot be: it does not fit into 32 bits"),
        ({"utilization": 1.5}, "it is no whole number"),
        ({"memory_used": "much"}, "'much' is not a size"),
        ({"reasons": "hw_thermal"}, "write a list of names"),
        ({"power": "hot"}, "power: 'hot' cannot be"),
    ],
)
def test_what_a_value_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(Gpu(), values, 0)


def test_what_no_gpu_has_is_put_as_it_is() -> None:
    gpu = Gpu()
    apply_bogus(gpu, "power", 0xFFFFFFFF, 0)
    apply_bogus(gpu, "tensor_activity", 140737488355328.0, 0)
    apply_bogus(gpu, "energy", 0x7FFFFFFFFFFFFFF3, 0)
    assert (gpu.power, gpu.activity[4].rate, gpu.energy.whole) == (0xFFFFFFFF, 2.0**47, 0x7FFFFFFFFFFFFFF3)
    with pytest.raises(ValueError, match="did you mean power"):
        apply_bogus(gpu, "powr", 1, 0)
