"""The fault format carries the rest of the catalogue: each of these needs a file and no code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.cluster import Cluster
from simulator.episode import Episode
from simulator.fault import Fault

pytestmark = pytest.mark.acceptance

Make = Callable[..., Cluster]


def fault(kind: str, *effects: dict[str, object], **recovery: object) -> Fault:
    return Fault.model_validate(
        {
            "id": "T01",
            "name": "A test",
            "tier": "P2",
            "story": "It happens.",
            "target": {"kind": kind},
            "effects": [{"says": "changes", **effect} for effect in effects],
            "recovery": recovery or {"after": "5m", "says": "is well again"},
            "truth": {"root": kind, "affects": [], "alerts": [], "action": "none"},
        }
    )


def begin(cluster: Cluster, given: Fault, seconds: int) -> tuple[Episode, Callable[[str], Any]]:
    episode = cluster.inject(given)
    cluster.step(seconds * 1000)
    return episode, lambda kind: cluster.related(episode.target, kind)


def latency(replica: Any, cluster: Cluster, seconds: int = 30) -> float:
    histogram = replica.engine.stats.inter_token
    count, total = histogram.count, histogram.sum
    cluster.step(seconds * 1000)
    return float((histogram.sum - total) / (histogram.count - count))


def test_a_double_bit_error_kills_the_engine_and_a_restart_brings_it_back(make_cluster: Make) -> None:  # G02
    cluster = make_cluster()
    given = fault(
        "gpu",
        {"variable": "gpu.xid", "to": 48},
        {"variable": "gpu.xid", "to": 95, "after": "1s"},
        {"variable": "gpu.ecc_dbe", "to": [1, 4], "restores": False},
        {"variable": "replica.state", "to": "errored", "after": ["1s", "5s"], "restores": False},
        after="10s",
    )
    _, related = begin(cluster, given, 8)
    assert related("gpu")[0].xid == 95
    assert related("gpu")[0].ecc_dbe >= 1
    assert not related("replica")[0].listens or related("replica")[0].health() == 503
    cluster.step(150_000)
    assert related("replica")[0].ready


def test_nvlink_errors_slow_the_group_of_both_ends(make_cluster: Make) -> None:  # G07
    cluster = make_cluster()
    given = fault(
        "gpu", {"variable": "gpu.crc_rate", "to": [10, 1000]}, {"variable": "gpu.link_slowdown", "to": 1.5}
    )
    _, related = begin(cluster, given, 10)
    [gpu], [victim] = related("gpu"), related("replica")
    assert gpu.crc_errors > 50
    other = next(replica for replica in cluster.replicas if replica is not victim)
    assert latency(victim, cluster) > 1.3 * latency(other, cluster)


def test_a_straggler_has_no_sign_but_power_and_latency(make_cluster: Make) -> None:  # G09
    cluster = make_cluster()
    _, related = begin(cluster, fault("gpu", {"variable": "gpu.slowdown", "to": 1.4}), 10)
    [gpu], [replica] = related("gpu"), related("replica")
    peers = [peer for peer in replica.gpus if peer is not gpu]
    assert gpu.clock == 1980
    assert gpu.xid == 0
    assert gpu.power < 0.88 * sum(peer.power for peer in peers) / len(peers)
    assert latency(replica, cluster) > 0.033


def test_long_prompts_preempt(make_cluster: Make) -> None:  # S03
    cluster = make_cluster()
    begin(cluster, fault("service", {"variable": "service.prompt", "to": 6}), 150)
    assert sum(replica.engine.stats.preemptions for replica in cluster.replicas) > 0
    assert all(replica.engine.stats.kv_usage > 0.85 for replica in cluster.replicas)


def test_a_collapsed_prefix_cache_means_more_prefill(make_cluster: Make) -> None:  # S04
    cluster = make_cluster()
    replica = cluster.replicas[0]
    stats = replica.engine.stats
    before = stats.cached_tokens / stats.prompt_tokens
    given = fault("service", {"variable": "replica.cache_hit", "to": 0.1})
    begin(cluster, given, 30)
    cached, prompt = stats.cached_tokens, stats.prompt_tokens
    cluster.step(60_000)
    assert before == pytest.approx(0.45, abs=0.01)
    assert (stats.cached_tokens - cached) / (stats.prompt_tokens - prompt) == pytest.approx(0.045, abs=0.01)


def test_a_leak_eats_the_memory_of_the_host(make_cluster: Make) -> None:  # S06
    cluster = make_cluster()
    _, related = begin(cluster, fault("node", {"variable": "node.leak_rate", "to": 1e9}), 1)
    before = related("node")[0].memory_available
    cluster.step(10_000)
    assert before - related("node")[0].memory_available == 10_000_000_000


def test_a_bad_revision_fails_a_share_of_its_requests(make_cluster: Make) -> None:  # S09
    cluster = make_cluster()
    _, related = begin(cluster, fault("replica", {"variable": "replica.error_share", "to": 0.3}), 60)
    http = related("replica")[0].engine.stats.http
    assert http["5xx"] > 20
    assert sum(cluster.service.ledger.failures.values()) >= http["5xx"]


def test_a_node_goes_and_its_replicas_come_back_with_it(make_cluster: Make) -> None:  # N02
    cluster = make_cluster()
    given = fault("node", {"variable": "node.up", "to": False}, after="60s")
    episode, related = begin(cluster, given, 50)
    assert related("node")[0].ready == "Unknown"
    assert not any(replica.ready for replica in related("replica"))
    cluster.step(150_000)
    assert episode.over
    assert all(replica.ready for replica in related("replica"))


def test_a_rack_without_cooling_heats_every_gpu_in_it(make_cluster: Make) -> None:  # N05
    cluster = make_cluster(nodes=2, nodes_per_rack=1)
    given = fault("rack", {"variable": "rack.inlet", "to": 55, "over": "2m"})
    _, related = begin(cluster, given, 280)
    hot, cool = related("gpu"), [gpu for gpu in cluster.gpus if gpu not in related("gpu")]
    assert len(hot) == 8
    assert min(gpu.temperature for gpu in hot) > 70
    assert max(gpu.temperature for gpu in cool) < 62


def test_a_dead_exporter_hurts_nobody(make_cluster: Make) -> None:  # N06
    cluster = make_cluster()
    before = cluster.service.ledger.failed
    episode, related = begin(cluster, fault("node", {"variable": "node.exporter", "to": "hangs"}), 30)
    assert related("node")[0].exporter == "hangs"
    assert cluster.service.ledger.failed - before <= 2
    cluster.step(400_000)
    assert episode.over
    assert related("node")[0].exporter == "answers"
