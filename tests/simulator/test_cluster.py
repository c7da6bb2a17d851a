from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cluster import Cluster
from simulator.histogram import Histogram
from simulator.replica import Replica, State
from simulator.settings import ClusterSettings

pytestmark = pytest.mark.acceptance

Make = Callable[..., Cluster]


def quantile(counts: list[int], edges: tuple[float, ...], share: float) -> float:
    wanted, seen = share * sum(counts), 0
    for index, count in enumerate(counts):
        if seen + count >= wanted:
            low = edges[index - 1] if index else 0.0
            return low + (edges[index] - low) * (wanted - seen) / count
        seen += count
    return edges[-1]


class Gauge:
    """What one replica did since this was made."""

    def __init__(self, replica: Replica) -> None:
        self.stats = replica.engine.stats
        self.tokens, self.itl = self.stats.generation_tokens, self._copy(self.stats.inter_token)

    @staticmethod
    def _copy(histogram: Histogram) -> tuple[int, float]:
        return histogram.count, histogram.sum

    def latency(self) -> float:
        count, total = self.itl
        return (self.stats.inter_token.sum - total) / (self.stats.inter_token.count - count)

    def rate(self, seconds: float) -> float:
        return (self.stats.generation_tokens - self.tokens) / seconds


def test_healthy_levels_are_those_of_the_catalogue(make_cluster: Make) -> None:
    cluster = make_cluster(nodes=4)
    cluster.step(60_000)
    before, arrived = [Gauge(replica) for replica in cluster.replicas], cluster.service.ledger.arrived
    running, kv = [], []
    for _ in range(120):
        cluster.step(1_000)
        running += [replica.engine.stats.running for replica in cluster.replicas]
        kv += [replica.engine.stats.kv_usage for replica in cluster.replicas]
    counts = [
        sum(column) for column in zip(*(r.engine.stats.ttft.counts for r in cluster.replicas), strict=True)
    ]
    edges = cluster.replicas[0].engine.stats.ttft.edges
    assert 17 < (cluster.service.ledger.arrived - arrived) / 120 < 23
    assert 32 < sum(running) / len(running) < 48
    assert 0.42 < sum(kv) / len(kv) < 0.63
    assert 0.12 < quantile(counts, edges, 0.5) < 0.24
    assert 0.35 < quantile(counts, edges, 0.99) < 0.48
    for gauge in before:
        assert 1450 < gauge.rate(120) < 1750
        assert 0.023 < gauge.latency() < 0.028
    for gpu in cluster.gpus:
        assert 54 < gpu.temperature < 62
        assert 430 < gpu.power < 540
        assert gpu.clock == 1980
    assert cluster.service.ledger.failed < 0.004 * cluster.service.ledger.arrived


def test_equal_seeds_give_equal_runs_whatever_the_step(make_cluster: Make) -> None:
    def outcome(step: int, seed: int) -> object:
        cluster = make_cluster(seed=seed, warm_up="10s")
        cluster.inject("G01")
        for _ in range(30_000 // step):
            cluster.step(step)
        return (
            cluster.service.ledger,
            [str(entry) for entry in cluster.journal],
            [g.energy for g in cluster.gpus],
        )

    assert outcome(100, 7) == outcome(3_000, 7) == outcome(250, 7)
    assert outcome(3_000, 7) != outcome(3_000, 8)


def test_a_throttled_gpu_slows_its_replica_and_no_other(make_cluster: Make) -> None:
    cluster = make_cluster(nodes=4)
    episode = cluster.inject("G08")
    [victim] = cluster.related(episode.target, "replica")
    [gpu] = cluster.related(episode.target, "gpu")
    cluster.step(200_000)
    before = {replica: Gauge(replica) for replica in cluster.replicas}
    slowness = []
    for _ in range(240):
        cluster.step(1_000)
        slowness.append(1980 / gpu.clock)
    latency = {replica: gauge.latency() for replica, gauge in before.items()}
    others = [value for replica, value in latency.items() if replica is not victim]
    expected = sum(slowness) / len(slowness)
    assert 1.25 < expected < 1.65
    assert latency[victim] / (sum(others) / len(others)) == pytest.approx(expected, rel=0.1)
    assert max(others) < 1.1 * min(others)
    assert all(other.clock == 1980 for other in cluster.gpus if other is not gpu)


def test_a_surge_fills_every_replica_and_no_gpu_is_at_fault(make_cluster: Make) -> None:
    cluster = make_cluster()
    cluster.inject("S02")
    cluster.step(150_000)
    for replica in cluster.replicas:
        assert replica.engine.stats.waiting > 20
        assert replica.engine.stats.kv_usage > 0.9
    counts = [replica.engine.stats.ttft.cumulative() for replica in cluster.replicas]
    cluster.step(30_000)
    for replica, before in zip(cluster.replicas, counts, strict=True):
        now = replica.engine.stats.ttft.cumulative()
        under_two_and_a_half = now[12] - before[12]
        assert under_two_and_a_half < 0.2 * (now[-1] - before[-1])
    assert cluster.service.ledger.timed_out > 0
    assert all(gpu.clock == 1980 and gpu.xid == 0 for gpu in cluster.gpus)


def test_a_surge_ends_and_the_queues_drain(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="30s")
    episode = cluster.inject("S02")
    cluster.step(1_200_000)
    assert episode.over
    assert all(replica.engine.stats.waiting < 5 for replica in cluster.replicas)


def test_a_zombie_attracts_more_than_its_share(make_cluster: Make) -> None:
    cluster = make_cluster()
    episode = cluster.inject("S13")
    zombie = cluster.replica(episode.target.name)
    cluster.step(10_000)
    ledger, stats = cluster.service.ledger, zombie.engine.stats
    arrived, failed, tokens = ledger.arrived, ledger.failed, stats.generation_tokens
    cluster.step(60_000)
    share = (ledger.failed - failed) / (ledger.arrived - arrived)
    assert 0.33 < share < 0.6  # a quarter of the replicas takes more than a third of the traffic
    assert zombie.ready
    assert zombie.health() == 200
    assert (stats.generation_tokens, stats.running) == (tokens, 0)
    assert all(gpu.busy == 0 and gpu.memory_used > 70_000 for gpu in zombie.gpus)
    cluster.restart(zombie.name)
    cluster.step(40_000)
    assert episode.over
    assert zombie.state is State.SERVING
    assert zombie.engine.stats.generation_tokens > 0
    assert zombie.restarts == 1


def test_a_lost_gpu_takes_its_replica_and_comes_back_after_the_cordon(make_cluster: Make) -> None:
    cluster = make_cluster()
    episode = cluster.inject("G01")
    [gpu], [replica] = cluster.related(episode.target, "gpu"), cluster.related(episode.target, "replica")
    node = cluster.node(gpu.node)
    cluster.step(100)
    assert (gpu.xid, gpu.present, gpu.visible) == (79, False, True)
    cluster.step(5_000)
    assert replica.state in (State.ERRORED, State.EXITED)
    assert cluster.service.ledger.failed > 10
    cluster.step(10_000)
    assert not gpu.visible
    assert not replica.ready
    assert node.allocatable == 7
    failed = cluster.service.ledger.failed
    cluster.step(20_000)
    assert cluster.service.ledger.failed - failed <= 2  # the balancer has taken it out
    assert episode.truth()["recovered_at"] is None
    cluster.step(300_000)
    assert not gpu.present  # nobody repairs a node that is not cordoned
    assert replica.restarts > 5  # it cannot start without its GPU
    cluster.cordon(node.name)
    cluster.step(60_000)
    assert episode.over
    assert (gpu.xid, gpu.visible, node.allocatable, node.cordoned) == (0, True, 8, True)
    assert replica.ready
    assert replica.engine.stats.generation_tokens > 0


def test_an_episode_tells_its_story_and_its_truth(make_cluster: Make) -> None:
    cluster = make_cluster()
    started = cluster.now
    episode = cluster.inject("G01")
    cluster.step(20_000)
    cluster.cordon(cluster.related(episode.target, "node")[0].name)
    cluster.step(60_000)
    truth = episode.truth()
    assert truth["root"] == {"kind": "gpu", "name": episode.target.name}
    assert [entity["kind"] for entity in truth["affected"]] == ["gpu", "node", "replica", "service"]
    assert truth["onset"] == started
    assert started < truth["restored_at"] <= truth["recovered_at"] <= cluster.now
    sentences = [happening.sentence for happening in episode.log]
    assert sentences[:2] == ["reports XID 79", "has fallen off the bus"]
    assert "offers 7 of 8 GPUs to Kubernetes" in sentences
    assert "is cordoned" in sentences
    assert sentences[-1].startswith("is ready")
    assert [happening.at for happening in episode.log] == sorted(happening.at for happening in episode.log)
    assert any("instead of 30s to 1m30s" in line for line in truth["compressed"])


def test_episodes_differ_within_their_range(make_cluster: Make) -> None:
    ends = []
    for seed in (1, 2, 3):
        cluster = make_cluster(seed=seed, warm_up="0s")
        episode = cluster.inject("G08")
        cluster.step(30_000)
        [gpu] = cluster.related(episode.target, "gpu")
        ends.append(gpu.cooling)
    assert len(set(ends)) == 3
    assert all(2.7 <= end <= 3.3 for end in ends)


def test_a_lost_node_is_seen_by_everybody_in_their_time(make_cluster: Make) -> None:
    cluster = make_cluster()
    node = cluster.nodes[0]
    cluster.write(node, "up", False)
    cluster.step(8_000)
    assert not any(replica.ready for replica in cluster.replicas_on(node.name))
    assert node.ready == "True"
    cluster.step(45_000)
    assert node.ready == "Unknown"
    cluster.write(node, "up", True)
    cluster.step(120_000)
    assert node.ready == "True"
    assert all(replica.ready for replica in cluster.replicas_on(node.name))


def test_a_hung_group_freezes_its_gauges_while_health_says_200(make_cluster: Make) -> None:
    cluster = make_cluster()
    replica = cluster.replicas[0]
    cluster.write(replica, "state", "hung")
    stats = replica.engine.stats
    frozen = (stats.running, stats.generation_tokens, stats.iteration_tokens.count)
    cluster.step(60_000)
    assert frozen[0] > 0
    assert (stats.running, stats.generation_tokens, stats.iteration_tokens.count) == frozen
    assert replica.health() == 200
    assert cluster.service.ledger.timed_out > 20
    assert all(gpu.busy == 1.0 and gpu.power < 200 for gpu in replica.gpus)


def test_a_target_is_checked(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="0s")
    uuid = cluster.nodes[1].gpus[2].uuid
    assert cluster.inject("G01", target=uuid).target.name == uuid
    with pytest.raises(ValueError, match="is no gpu that G01 can befall"):
        cluster.inject("G01", target="GPU-nowhere")
    with pytest.raises(KeyError):
        cluster.inject("X99")
    with pytest.raises(KeyError):
        cluster.cordon("nowhere")


def test_too_many_replicas_for_a_node_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ClusterSettings.model_validate({"replicas_per_node": 3})


ACTIONS = st.one_of(
    st.tuples(st.just("step"), st.integers(100, 8_000)),
    st.tuples(st.just("inject"), st.sampled_from(["G01", "G08", "S02", "S13"])),
    st.tuples(st.just("restart"), st.integers(0, 3)),
    st.tuples(st.just("cordon"), st.integers(0, 1)),
    st.tuples(st.just("state"), st.sampled_from(["hung", "zombie", "errored", "exited", "serving"])),
    st.tuples(st.just("node"), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, min_size=3, max_size=15), st.integers(0, 5))
def test_every_request_is_accounted_for_whatever_happens(
    actions: list[tuple[str, object]], seed: int
) -> None:
    """Arrived = finished + failed + aborted + in the engines, after any order of faults and operations."""
    cluster = Cluster(ClusterSettings.model_validate({"nodes": 2, "seed": seed, "warm_up": "5s"}))
    ledger = cluster.service.ledger
    for action, value in actions:
        match action, value:
            case "inject", str():
                cluster.inject(value)
            case "restart", int():
                cluster.restart(cluster.replicas[value].name)
            case "cordon", int():
                cluster.cordon(cluster.nodes[value].name)
            case "state", str():
                cluster.write(cluster.replicas[0], "state", value)
            case "node", bool():
                cluster.write(cluster.nodes[0], "up", value)
            case _, int():
                cluster.step(value)
        assert ledger.in_flight == sum(replica.engine.in_flight for replica in cluster.replicas)
        assert ledger.timed_out <= ledger.aborted


def test_a_restart_during_the_load_begins_the_load_again(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="0s", delays={"model_load": "30s"})
    replica = cluster.replicas[0]
    cluster.restart(replica.name)
    cluster.step(20_000)
    cluster.restart(replica.name)
    cluster.step(20_000)
    assert replica.health() == 0  # what the first start had planned is void
    cluster.step(10_100)
    assert replica.health() == 200


def test_a_refused_connection_is_tried_elsewhere(make_cluster: Make) -> None:
    cluster = make_cluster(load={"failing": 0.0})
    cluster.replicas[0].exit("Error")
    cluster.replicas[0].ready = True  # the balancer has not heard of it yet
    failed = cluster.service.ledger.failed
    cluster.step(4_000)
    assert cluster.service.ledger.retried > 3
    assert cluster.service.ledger.failed == failed


def test_delays_are_compressed_only_while_the_fault_lasts(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="0s")
    episode = cluster.inject("S13")
    assert cluster.world.delay("model_load") <= 8_000
    cluster.step(1_000)
    cluster.restart(episode.target.name)
    cluster.step(60_000)
    assert episode.over
    assert cluster.world.delay("model_load") >= 45_000
