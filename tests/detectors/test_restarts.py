"""A restart is seen at the first sample of a new run, of all series that it concerns and no others."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from model.labels import Labels
from telemetry.window import Window
from tests.detectors.listening import NOW, STEP, House

ENGINE = {"job": "vllm", "instance": "a:8000"}
STARTED, MEMORY, TOKENS = (
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "vllm:generation_tokens_total",
)


def lived(house: House, runs: list[tuple[float, int]], start_time: bool = True) -> None:
    """Runs of a process: when each started (s), and for how many scrapes it was there; -1 is a gap."""
    tick = 0
    for started, scrapes in runs:
        for age in range(abs(scrapes)):
            if scrapes > 0:
                values = {MEMORY: 5e8, TOKENS: (age + 1) * 100.0, "vllm:num_requests_running": 3.0}
                house.send(tick * STEP, ENGINE, values | ({STARTED: started} if start_time else {}))
            else:
                house.window.mark_stale(house.window.target(ENGINE["instance"], STEP), NOW + tick * STEP)
            tick += 1
    house.step()


@pytest.mark.parametrize("start_time", [True, False])
def test_a_restart_of_the_process_is_one_of_all_its_series(start_time: bool) -> None:
    """Without a start time a counter that fell tells."""
    house = House()
    lived(house, [(1_000, 20), (1_100, 20)], start_time)
    assert house.restarted(MEMORY) == [20]
    assert house.restarted("vllm:num_requests_running") == [20]


def test_a_lost_scrape_is_no_restart() -> None:
    house = House()
    lived(house, [(1_000, 20), (0, -70)])
    tick = 90
    for age in range(5):
        values = {MEMORY: 5e8, TOKENS: 2_000.0 + age * 100, STARTED: 1_000.0}
        house.send((tick + age) * STEP, ENGINE, values)
    house.step()
    assert house.restarted(MEMORY) == []


def test_a_gauge_that_falls_is_no_restart() -> None:
    """SGLang's throughput is what an engine gets done, but no counter of it."""
    house = House()
    for tick in range(40):
        values = {"sglang:gen_throughput": 900.0 - tick % 7, "sglang:num_running_reqs": 8.0, MEMORY: 5e8}
        house.send(tick * STEP, {"job": "s", "instance": "e:30000"}, values)
        house.step()
    assert house.restarted(MEMORY) == house.restarted("sglang:num_running_reqs") == []


def two_engines() -> tuple[House, Callable[[int, bool], None]]:
    """Two engines of which one unloads a model; the window is compacted before tick 50."""
    house = House(window=Window(retention=100 * STEP))

    def scrape(tick: int, first_model: bool) -> None:
        for engine, model, count in (("A", "m1", 1e3), ("A", "m2", 5e5), ("B", "m", 7.0)):
            if model != "m1" or first_model:
                labels = {"job": "v", "instance": engine, "model_name": model}
                # The model that is unloaded had been begun anew once.
                fell = model == "m1" and tick >= 10
                house.send(tick * STEP, labels, {TOKENS: count * (1 - 0.9 * fell) + tick}, key=engine)
            house.send(tick * STEP, {"job": "v", "instance": engine}, {MEMORY: 5e8}, key=engine)
        house.step()

    for tick in range(50):
        scrape(tick, tick < 20)
    gone = house.window.find(Labels({"__name__": TOKENS, "job": "v", "instance": "A", "model_name": "m1"}))
    house.window.registry.drop(np.array([gone]))
    remap = house.window.compact(NOW + 50 * STEP, 0.0)
    assert remap is not None
    house.renumbered(remap)
    return house, scrape


@pytest.mark.parametrize("resumed", [False, True])
def test_a_counter_that_stands_in_for_one_that_is_gone_is_no_restart(resumed: bool) -> None:
    """The numbers of the signals are others in a process that begins with the window as it is now."""
    house, scrape = two_engines()
    for tick in range(50, 60):
        scrape(tick, False)
    if resumed:
        house.resume()
    for tick in range(60, 70):
        scrape(tick, False)
    assert [at for at in house.restarted(MEMORY) if at > 10] == []


def test_what_nobody_tells_of_is_another_run_after_five_minutes() -> None:
    house = House()
    for tick in [*range(5), *range(60, 63), *range(125, 130)]:
        house.send(tick * STEP, {"job": "x", "instance": "b"}, {"queue_length": 1.0})
        house.send(tick * STEP, {"job": "dcgm", "instance": "c", "UUID": "G"}, {"DCGM_FI_DEV_FB_USED": 1.0})
    house.step()
    assert house.restarted("queue_length") == [125]
    assert house.restarted("DCGM_FI_DEV_FB_USED") == [], "a GPU does not restart with its exporter"


def test_an_exporter_is_not_its_host() -> None:
    house = House()
    for tick in range(30):
        values = {
            STARTED: 1_000.0 if tick < 10 else 1_050.0,
            "node_boot_time_seconds": 500.0 + tick % 2 if tick < 20 else 1_100.0,  # the clock is set
            "node_load1": 1.0,
            "go_goroutines": 8.0,
        }
        house.send(tick * STEP, {"job": "node", "instance": "n:9100"}, values)
    house.step()
    assert house.restarted("node_load1") == [20]
    assert house.restarted("go_goroutines") == [10]


def test_a_counter_that_begins_again_tells_of_itself() -> None:
    house = House()
    for tick in range(12):
        values = {"a_total": 1_000.0 + tick if tick < 6 else tick - 5.0, "b_total": 10.0 + tick, "c": 1.0}
        house.send(tick * STEP, {"job": "x", "instance": "b"}, values)
    house.step()
    assert house.restarted("a_total") == [6]
    assert house.restarted("b_total") == house.restarted("c") == []


def test_the_mark_waits_for_the_first_sample_that_counts() -> None:
    """An engine that comes up idle says nothing until it has work."""
    house = House()
    for tick in range(30):
        values = {
            STARTED: 1_000.0 if tick < 10 else 1_050.0,
            "vllm:num_requests_running": 0.0 if 8 <= tick < 20 else 3.0,
            "vllm:num_requests_waiting": 0.0,
            "vllm:kv_cache_usage_perc": 0.5,
        }
        house.send(tick * STEP, ENGINE, values)
    house.step()
    assert house.restarted("vllm:kv_cache_usage_perc") == [20]


def test_marks_are_the_same_however_often_the_tick_comes() -> None:
    houses = [House() for _ in range(3)]
    chance = random.Random(2)
    count, started = 0.0, 1_000.0
    for tick in range(200):
        if chance.random() < 0.05:
            count, started = 0.0, 1_000.0 + tick * STEP / 1_000
        count += 50
        values = {MEMORY: 1.0, TOKENS: count, STARTED: started, "vllm:num_requests_running": 1.0}
        parts = (
            [values] if tick % 2 else [{MEMORY: 1.0}, {key: values[key] for key in values if key != MEMORY}]
        )
        look = chance.random() < 0.2
        for part in parts:
            for number, house in enumerate(houses):
                house.send(tick * STEP, ENGINE, part)
                if number == 0 or (number == 1 and look):
                    house.step()
    for house in houses:
        house.step()
    marks = [
        [(house.names[sid], at) for at, sid, _, flag in sorted(house.listener.heard) if flag]
        for house in houses
    ]
    assert len(marks[0]) > 10
    assert marks[0] == marks[1] == marks[2]
