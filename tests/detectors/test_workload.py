"""Idle windows reach no detector, and what gets done is judged by what there is to do."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest

from detectors.contract import EXPECTED_LOW
from detectors.workload.roles import Role, Signal, role_of, signal_of
from model.matcher import Matcher, Op
from tests.detectors.listening import NOW, STEP, House

ENGINE = {"job": "vllm", "instance": "a:8000", "engine": "0", "model_name": "m"}
GPU = {"job": "dcgm", "instance": "n1:9400", "UUID": "GPU-1", "gpu": "0"}
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
TOKENS, KV = "vllm:generation_tokens_total", "vllm:kv_cache_usage_perc"
UTIL, POWER, HEAT = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP"


def engine(
    house: House, loads: Iterable[tuple[float, float, float]], labels: dict[str, str] = ENGINE
) -> None:
    """Scrapes of running, waiting and tokens a second."""
    tokens = 1_000.0
    for tick, (running, waiting, speed) in enumerate(loads):
        tokens += speed * STEP / 1_000
        values = {TOKENS: tokens, KV: running / 10, RUNNING: running, WAITING: waiting}
        house.send(tick * STEP, ENGINE, values)
    house.step()


@pytest.mark.parametrize(
    ("name", "labels", "role", "signal"),
    [
        ("vllm:num_requests_running", {}, Role.ENGINE, Signal.RUNNING),
        ("sglang:num_queue_reqs", {}, Role.ENGINE, Signal.WAITING),
        ("trtllm_num_requests_running", {}, Role.ENGINE, Signal.RUNNING),
        ("ray_vllm_num_requests_running", {}, Role.ENGINE, Signal.RUNNING),
        ("tgi_queue_size", {}, Role.ENGINE, Signal.WAITING),
        ("nv_trt_llm_request_metrics", {"request_type": "scheduled"}, Role.ENGINE, Signal.RUNNING),
        ("nv_trt_llm_request_metrics", {"request_type": "max"}, Role.ENGINE, None),
        ("lmdeploy:generation_tokens_total", {}, Role.PROGRESS, None),
        ("ray_vllm_generation_tokens_total", {}, Role.PROGRESS, None),
        ("vllm:iteration_tokens_total_count", {}, Role.PROGRESS, None),
        ("sglang:generation_tokens_total", {}, Role.TURNOVER, None),  # counted when a request ends
        ("vllm:prompt_tokens_total", {}, Role.TURNOVER, None),
        ("vllm:request_success_total", {"finished_reason": "stop"}, Role.TURNOVER, None),
        ("vllm:request_success_total", {"finished_reason": "error"}, Role.NONE, None),
        ("http_requests_total", {"status": "2xx"}, Role.TURNOVER, None),
        ("http_requests_total", {"status": "5xx"}, Role.NONE, None),
        ("vllm:num_preemptions_total", {}, Role.NONE, None),
        ("vllm:admission_rejections_total", {}, Role.NONE, None),
        ("DCGM_FI_DEV_GPU_UTIL", {}, Role.GPU, Signal.IN_USE),
        ("DCGM_FI_PROF_SM_ACTIVE", {}, Role.GPU_WORK, None),
        ("DCGM_FI_DEV_GPU_TEMP", {}, Role.GPU_HEAT, None),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", {}, Role.NONE, None),
        ("DCGM_FI_DEV_FB_USED", {}, Role.NONE, None),
        ("process_resident_memory_bytes", {}, Role.NONE, None),
        ("node_load1", {}, Role.NONE, None),
    ],
)
def test_roles(name: str, labels: dict[str, str], role: Role, signal: Signal | None) -> None:
    assert role_of(name, labels) is role
    assert signal_of(name, labels) is signal


def test_an_idle_engine_reaches_no_detector() -> None:
    house = House()
    day, night = [(8, 0, 400)] * 20, [(0, 0, 0)] * 20
    engine(house, day + night + day)
    assert house.times(RUNNING) == house.times(KV) == [*range(20), *range(40, 60)]
    assert {value for _, value in house.heard(RUNNING)} == {8}
    # Windows at whose begin or end nothing ran say nothing of how fast it is, nor do ten at a new load.
    assert house.times(TOKENS) == [*range(11, 20), *range(41, 60)]


def test_something_that_waits_is_work() -> None:
    house = House()
    engine(house, [(0, 3, 0)] * 5)
    assert house.times(WAITING) == [0, 1, 2, 3, 4]


def test_more_work_done_is_no_deviation_and_less_is_one() -> None:
    house = House()
    usual = [(8, 0, 400 + tick % 5) for tick in range(60)]
    engine(house, [*usual, (8, 0, 4_000), (8, 0, 400), (8, 0, 40), (8, 0, 0)])
    rests = [value for _, value in house.heard(TOKENS)]
    spread = max(rests[20:49])
    assert spread < 0.01
    high, same, low, none = rests[-4:]
    assert high < 0.02 > abs(same)
    assert low == pytest.approx(-2.3, abs=0.1)
    assert none < -8


def test_less_work_done_at_less_load_is_no_deviation() -> None:
    house = House()
    peak, lull = [(64, 0, 3_000)] * 30, [(2, 0, 150)] * 30
    engine(house, peak + lull + peak + lull)
    assert all(abs(value) < 0.02 for at, value in house.heard(TOKENS) if at // STEP not in (30, 60, 90))


def test_expectations_are_in_the_units_of_the_metric() -> None:
    house = House()
    house.scoring.demand(TOKENS)
    engine(house, [(8, 0, 400)] * 30)
    (low,) = house.window.select([Matcher("__name__", Op.EQUAL, EXPECTED_LOW)])
    values, _, present = low.instant(NOW + 29 * STEP, 60_000)
    assert present.all()
    assert values[0] == pytest.approx(400)


def test_what_is_known_of_a_series_ends_with_its_work() -> None:
    house = House()
    house.scoring.demand(KV)
    engine(house, [(8, 0, 400)] * 5 + [(0, 0, 0)])
    (low,) = house.window.select([Matcher("__name__", Op.EQUAL, EXPECTED_LOW)])
    assert low.instant(NOW + 4 * STEP, 60_000)[2].all()
    assert not low.instant(NOW + 5 * STEP, 60_000)[2].any()


def test_turnover_counts_while_something_waits() -> None:
    house = House()
    prompts = "vllm:prompt_tokens_total"
    for tick in range(40):
        values = {prompts: 100.0 * tick, RUNNING: 8, WAITING: 5 if tick >= 20 else 0}
        house.send(tick * STEP, ENGINE, values)
    house.step()
    assert house.times(prompts) == [*range(31, 40)]


def test_an_engine_is_known_by_its_rank_and_an_instance_by_all_of_them() -> None:
    house = House()
    for tick in range(10):
        for rank, running in (("0", 4.0), ("1", 0.0)):
            house.send(tick * STEP, {**ENGINE, "engine": rank}, {RUNNING: running, KV: 0.5}, key=rank)
        load = {"job": "vllm", "instance": "a:8000"}
        house.send(tick * STEP, load, {"http_requests_inflight": 1.0}, key="load")
    house.step()
    assert len(house.heard(KV)) == 10
    assert len(house.heard("http_requests_inflight")) == 10


@pytest.mark.parametrize("pod", [False, True])
def test_a_gpu_is_idle_when_nothing_uses_it(pod: bool) -> None:
    """A GPU whose engine has work is not idle, even where the utilisation is 0: then it hangs."""
    house = House()
    mine = {"pod": "llm-0", "namespace": "x"} if pod else {}
    for tick in range(50):
        used = tick < 20 or tick >= 40
        house.send(tick * STEP, {**ENGINE, **mine}, {RUNNING: 2.0 if tick < 30 else 0.0})
        values = {UTIL: 90.0 * used, POWER: 300.0 if used else 80.0, HEAT: 60.0, "DCGM_FI_DEV_FB_USED": 1.0}
        house.send(tick * STEP, {**GPU, **mine}, values)
    house.step()
    busy = [*range(30 if pod else 20), *range(40, 50)]
    assert house.times(UTIL) == busy
    assert len(house.times("DCGM_FI_DEV_FB_USED")) == 50
    idle = 40 - (30 if pod else 20)
    assert house.times(HEAT) == [*range(30 if pod else 20), *range(40 + idle, 50)], "heat follows late"


def test_verdicts_are_the_same_however_often_the_tick_comes() -> None:
    """In whatever pieces a scrape comes, and whatever waits for the next step."""
    houses = [House() for _ in range(3)]
    chance = random.Random(4)
    running, tokens = 0.0, 0.0
    for tick in range(300):
        running = max(0.0, running + chance.choice([-2, -1, 0, 0, 1, 2]))
        tokens += running * chance.uniform(1, 3)
        values = {TOKENS: tokens, KV: running / 10, RUNNING: running, WAITING: float(running > 4)}
        parts: Sequence[tuple[str, ...]] = (tuple(values),)
        if tick % 3 == 0:
            parts = ((TOKENS, KV), (WAITING, RUNNING))
        looks = chance.random() < 0.2
        for part in parts:
            for number, house in enumerate(houses):
                house.send(tick * STEP, ENGINE, {name: values[name] for name in part})
                if number == 0 or (number == 1 and looks):
                    house.step()
    for house in houses:
        house.step()
    first, *others = (
        sorted((time, house.names[sid], value) for time, sid, value, _ in house.listener.heard)
        for house in houses
    )
    assert len(first) > 500
    assert all(other == first for other in others)
