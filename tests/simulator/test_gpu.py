from __future__ import annotations

from simulator.gpu import Gpu, Work
from simulator.settings import GpuSettings

SERVING = Work(busy=1.0, prefill=1_400.0, memory=75_000)


def make() -> Gpu:
    return Gpu("gpu-node-1", 0, "GPU-1", "00000000:1A:00.0", GpuSettings())


def warm(gpu: Gpu, seconds: int, work: Work = SERVING, group: float = 1.0, inlet: float = 24.0) -> None:
    for _ in range(seconds):
        gpu.step(1.0, work, max(group, gpu.slowness), inlet)


def test_a_healthy_busy_gpu_settles_at_the_levels_of_the_catalogue() -> None:
    gpu = make()
    warm(gpu, 900)
    assert abs(gpu.power - 480) < 5
    assert abs(gpu.temperature - 58) < 1
    assert abs(gpu.memory_temperature - 70) < 2
    assert gpu.clock == 1980
    assert gpu.throttled == 0


def test_temperature_approaches_its_goal_with_one_time_constant() -> None:
    gpu = make()
    start = gpu.temperature
    warm(gpu, 120)
    assert abs((gpu.temperature - start) / (58 - start) - 0.632) < 0.02


def test_lost_cooling_makes_a_sawtooth_of_the_clock() -> None:
    gpu = make()
    warm(gpu, 900)
    gpu.cooling = 3.0
    clocks, temperatures = [], []
    for second in range(900):
        warm(gpu, 1)
        if second > 300:
            clocks.append(gpu.clock)
            temperatures.append(gpu.temperature)
    turns = sum(
        (b - a) * (c - b) < 0
        for a, b, c in zip(clocks, clocks[1:], clocks[2:], strict=False)
        if b not in (a, c)
    )
    assert min(clocks) == 1200
    assert 1500 < max(clocks) < 1980
    assert min(temperatures) > 85
    assert max(temperatures) < 92
    assert turns >= 8
    assert 0.2 < gpu.throttled / 900 < 0.8  # the catalogue's violation rate


def test_it_recovers_when_it_is_cooled_again() -> None:
    gpu = make()
    gpu.cooling = 3.0
    warm(gpu, 900)
    gpu.cooling = 1.0
    warm(gpu, 900)
    assert gpu.clock == 1980
    assert gpu.temperature < 60


def test_a_straggler_draws_less_and_its_peers_wait() -> None:
    slow, peer = make(), make()
    slow.slowdown = 1.4
    warm(slow, 60, group=1.4)
    warm(peer, 60, group=1.4)
    healthy = make()
    warm(healthy, 60)
    assert slow.clock == peer.clock == 1980
    assert slow.power < 0.85 * healthy.power
    assert peer.tensor < 0.8 * slow.tensor  # they spin at the barrier


def test_a_hung_group_spins_at_low_power() -> None:
    gpu = make()
    warm(gpu, 30, Work(spinning=True, memory=75_000))
    assert gpu.busy == 1.0
    assert 130 <= gpu.power <= 180


def test_idle_with_memory_held_keeps_its_clock() -> None:
    gpu = make()
    warm(gpu, 30, Work(memory=75_000))
    assert gpu.clock == 1980
    assert gpu.memory_used == 75_000
    warm(gpu, 1, Work())
    assert gpu.clock == 345


def test_energy_is_the_sum_of_power() -> None:
    gpu = make()
    total = 0.0
    for _ in range(50):
        warm(gpu, 1)
        total += gpu.power
    assert abs(gpu.energy - total) < 1e-6


def test_a_reset_brings_a_lost_gpu_back_clean() -> None:
    gpu = make()
    gpu.present, gpu.visible, gpu.xid = False, False, 79
    before = gpu.energy
    warm(gpu, 10)
    assert gpu.energy == before  # nothing moves on a GPU that is not there
    gpu.reset()
    assert (gpu.present, gpu.visible, gpu.xid) == (True, True, 0)
