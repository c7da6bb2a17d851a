"""EngineStalled and EngineGone on captures of a real vLLM, replayed at virtual times."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.moment import MINUTE, SECOND
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.packs import shipped
from tests.rules.cluster import Cluster, Endpoint, Scrape, captures, merged, replay

pytestmark = pytest.mark.acceptance

FROZEN_FROM = 1_795_177_113_666
MOVES_AGAIN = 1_795_177_124_158

HUNG, LIGHT, OVERLOAD, CRASH = (
    "series-hung-worker",
    "series-light-load",
    "series-overload",
    "series-engine-crash",
)


class Folder:
    """The captures by name, moved in time so that two can be replayed together."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, name: str, begin: int | None = None) -> list[tuple[int, bytes]]:
        found = captures(self._path / "vllm" / name)
        return found if begin is None else [(time - found[0][0] + begin, body) for time, body in found]


@pytest.fixture(scope="module")
def pack_groups() -> list[RuleGroup]:
    """The shipped packs."""
    return load_rule_files(shipped(), 15 * MINUTE)


@pytest.fixture(scope="module")
def stall_groups(pack_groups: list[RuleGroup]) -> list[RuleGroup]:
    """The groups that watch whether engines are there and move: a replay each second of them is quick."""
    return [group for group in pack_groups if group.name in ("availability", "engine-stall")]


@pytest.fixture
def folder(shared_data: Path) -> Folder:
    return Folder(shared_data)


def run(groups: list[RuleGroup], endpoints: list[Endpoint], scrape: Scrape, extra: int = 0) -> Cluster:
    begin = min(endpoint.bodies[0][0] for endpoint in endpoints)
    end = max(endpoint.bodies[-1][0] for endpoint in endpoints) + 3 * SECOND + extra
    cluster = Cluster(groups=groups, interval=SECOND, started_at=begin)
    replay(cluster, endpoints, begin, end, scrape)
    return cluster


def stalls(cluster: Cluster) -> list[tuple[str, str, int]]:
    return [
        (alert.labels["instance"], alert.labels["engine"], alert.starts_at)
        for alert in cluster.fired
        if alert.name == "EngineStalled"
    ]


SCRAPES = [
    Scrape(),
    *[Scrape(jitter=300, seed=seed) for seed in (3, 4)],
    Scrape(jitter=300, missed=0.1, seed=6),
]


@pytest.mark.parametrize("scrape", SCRAPES, ids=str)
def test_hung_worker_fires_once_before_it_comes_back(
    folder: Folder, stall_groups: list[RuleGroup], scrape: Scrape
) -> None:
    cluster = run(stall_groups, [Endpoint("a:8000", folder(HUNG))], scrape)
    [(instance, engine, at)] = stalls(cluster)
    assert (instance, engine) == ("a:8000", "0")
    assert FROZEN_FROM < at < MOVES_AGAIN
    assert [alert.name for alert in cluster.resolved].count("EngineStalled") == 1


@pytest.mark.parametrize("scrape", SCRAPES, ids=str)
def test_two_instances_one_hangs(folder: Folder, stall_groups: list[RuleGroup], scrape: Scrape) -> None:
    hung = folder(HUNG)
    endpoints = [Endpoint("a:8000", hung), Endpoint("b:8000", folder(LIGHT, hung[0][0]))]
    [(instance, engine, at)] = stalls(run(stall_groups, endpoints, scrape))
    assert (instance, engine) == ("a:8000", "0")
    assert at < MOVES_AGAIN


@pytest.mark.parametrize("scrape", SCRAPES, ids=str)
@pytest.mark.parametrize("hung_engine", ["0", "1"])
def test_two_engines_of_one_instance_one_hangs(
    folder: Folder, stall_groups: list[RuleGroup], hung_engine: str, scrape: Scrape
) -> None:
    hung = folder(HUNG)
    pair = [hung, folder(LIGHT, hung[0][0])]
    both = merged(*(pair if hung_engine == "0" else reversed(pair)))
    [(_, engine, at)] = stalls(run(stall_groups, [Endpoint("a:8000", both)], scrape))
    assert engine == hung_engine
    assert at < MOVES_AGAIN


QUIET_SCRAPES = [
    Scrape(),
    Scrape(jitter=300, seed=10),
    *[Scrape(jitter=300, missed=0.2, seed=seed) for seed in range(20, 25)],
    Scrape(interval=5 * SECOND, jitter=300, missed=0.2, seed=40),
    Scrape(interval=15 * SECOND, jitter=300, seed=44),
]


@pytest.mark.parametrize("name", [LIGHT, OVERLOAD])
@pytest.mark.parametrize("scrape", QUIET_SCRAPES, ids=str)
def test_load_that_moves_is_no_stall(
    folder: Folder, stall_groups: list[RuleGroup], name: str, scrape: Scrape
) -> None:
    assert not stalls(run(stall_groups, [Endpoint("a:8000", folder(name))], scrape))


def test_idle_is_no_stall(folder: Folder, pack_groups: list[RuleGroup], shared_data: Path) -> None:
    idle = (shared_data / "vllm" / "idle.prom").read_bytes()
    endpoint = Endpoint("a:8000", [(FROZEN_FROM + k * SECOND, idle) for k in range(60)])
    cluster = run(pack_groups, [endpoint], Scrape())
    assert not cluster.fired


def with_values(body: bytes, values: dict[str, float]) -> bytes:
    """A capture with other values; keys are metric names."""
    for name, value in values.items():
        pattern = rb"(?m)^(%s(?:\{[^}]*\})?) .*$" % name.encode()
        body = re.sub(pattern, rb"\g<1> %g" % value, body)
    return body


def zombie(shared_data: Path, errors_per_second: float) -> list[tuple[int, bytes]]:
    """An engine that served, then shows 0 running and frozen counters while its server answers 500."""
    idle = (shared_data / "vllm" / "after-light-load.prom").read_bytes()
    idle = with_values(idle, {"vllm:num_requests_running": 0})
    errors = b'http_requests_total{handler="/v1/completions",method="POST",status="5xx"} %d\n'
    return [(FROZEN_FROM + k * SECOND, idle + errors % int(3 + k * errors_per_second)) for k in range(60)]


@pytest.mark.parametrize("interval", [SECOND, 5 * SECOND])
def test_zombie_engine_fires(shared_data: Path, stall_groups: list[RuleGroup], interval: int) -> None:
    endpoint = Endpoint("a:8000", zombie(shared_data, errors_per_second=4))
    cluster = run(stall_groups, [endpoint], Scrape(interval=interval, jitter=interval // 5, seed=1))
    [(instance, engine, _)] = stalls(cluster)
    assert (instance, engine) == ("a:8000", "0")


def test_a_single_server_error_on_an_idle_engine_is_no_stall(
    shared_data: Path, stall_groups: list[RuleGroup]
) -> None:
    bodies = zombie(shared_data, errors_per_second=0)
    later = [(time, body.replace(b'"5xx"} 3', b'"5xx"} 4')) for time, body in bodies[20:]]
    cluster = run(stall_groups, [Endpoint("a:8000", bodies[:20] + later)], Scrape(jitter=200, seed=1))
    assert not stalls(cluster)


def test_a_sleeping_engine_is_at_rest(folder: Folder, stall_groups: list[RuleGroup]) -> None:
    asleep = [
        (time, body.replace(b'sleep_state="awake"} 1.0', b'sleep_state="awake"} 0.0'))
        for time, body in folder(HUNG)
    ]
    assert not stalls(run(stall_groups, [Endpoint("a:8000", asleep)], Scrape()))


@pytest.mark.parametrize(
    "scrape", [Scrape(), Scrape(jitter=300, seed=1), Scrape(interval=5 * SECOND)], ids=str
)
def test_a_crash_is_exactly_one_alert(folder: Folder, pack_groups: list[RuleGroup], scrape: Scrape) -> None:
    bodies = folder(CRASH)
    endpoint = Endpoint("a:8000", bodies, until=bodies[-1][0] + 226)
    cluster = run(pack_groups, [endpoint], scrape, extra=60 * SECOND)
    fired = [(alert.name, alert.labels["instance"]) for alert in cluster.fired]
    assert fired == [("EngineGone", "a:8000")]


@pytest.mark.parametrize("seed", range(5))
def test_one_lost_scrape_is_no_outage(folder: Folder, pack_groups: list[RuleGroup], seed: int) -> None:
    bodies = folder(LIGHT)
    gone = Endpoint("a:8000", bodies)
    hole = bodies[5][0]

    def body(at: int, whole: object = gone.body) -> bytes | None:
        return None if hole <= at < hole + 1300 else Endpoint.body(gone, at)

    gone.body = body  # type: ignore[method-assign]
    cluster = run(pack_groups, [gone], Scrape(jitter=300, seed=seed))
    assert "EngineGone" not in {alert.name for alert in cluster.fired}


def test_two_samples_between_lost_scrapes_are_too_few(stall_groups: list[RuleGroup]) -> None:
    labels = 'job="vllm",instance="e:8000",engine="0",model_name="m"'
    counters = ("generation_tokens_total", "prompt_tokens_total", "iteration_tokens_total_count")

    def page(value: float) -> dict[str, float]:
        moved = {f"vllm:{name}{{{labels}}}": value for name in counters}
        return {
            f"vllm:num_requests_running{{{labels}}}": 4,
            f"vllm:num_requests_waiting{{{labels}}}": 0,
            **moved,
        }

    cluster = Cluster(groups=stall_groups)
    begin = cluster.run(5, lambda second: page(second)) + 6 * SECOND
    cluster.write(begin, page(9))
    for now in range(begin, begin + 6 * SECOND, SECOND):
        if now == begin + 2 * SECOND:
            cluster.write(now - 100, page(9))
        cluster.step(now)
    assert not stalls(cluster)
    assert not [active for active in cluster.engine.active() if active.labels["alertname"] == "EngineStalled"]
