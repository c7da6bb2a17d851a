"""Faults as chains of signs: what the catalogue says is seen, on what, how long after the fault.

The delays are those of the fault catalogue and of the shipped rules' own waits, as bench.alerts.recording
hears them from the simulator. What a lost replica does to the others of its service follows from the share
that is lost: from a fifth on they are slow, from two fifths on overloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.alerts.fleet import Fleet, Gpu, Node, Rack, Replica

SLOW_SHARE = 0.2
OVERLOAD_SHARE = 0.4

Span = tuple[float, float]


@dataclass(frozen=True)
class Sign:
    """Something is told of `of` from `begins` (s after the fault) until `clears` (s after its repair)."""

    name: str
    of: Any
    begins: Span
    clears: Span = (0, 20)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what it befalls, how long until it is repaired (s), and what is seen of it."""

    id: str
    name: str
    root: str
    lasts: Span
    signs: Callable[[Fleet, Any], Iterable[Sign]]


def strain(fleet: Fleet, lost: Iterable[Replica], delay: float = 0) -> Iterator[Sign]:
    """What the rest of each service feels."""
    gone = set(lost)
    for service in dict.fromkeys(one.service for one in gone):
        every = fleet.of_service(service)
        rest = [one for one in every if one not in gone]
        share = 1 - len(rest) / len(every)
        if not rest:
            yield Sign("service down", service, (delay + 150, delay + 180), (60, 120))
        elif share >= OVERLOAD_SHARE:
            yield from _overload(fleet, service, rest, delay)
        elif share >= SLOW_SHARE:
            yield Sign("slow service", service, (delay + 165, delay + 200), (120, 240))
            for one in rest[::3]:
                yield Sign("slow first token", one, (delay + 105, delay + 165), (240, 300))
        if share >= SLOW_SHARE:
            yield Sign("burn", service, (delay + 240, delay + 300), (60, 180))


def _overload(fleet: Fleet, service: str, replicas: list[Replica], delay: float) -> Iterator[Sign]:
    yield Sign("overload", service, (delay + 105, delay + 120), (20, 60))
    yield Sign("slow service", service, (delay + 150, delay + 180), (180, 300))
    for one in replicas:
        yield Sign("preempting", one, (delay + 90, delay + 120), (60, 120))
        yield Sign("slow first token", one, (delay + 90, delay + 120), (240, 300))
        yield Sign("queue", one, (delay + 135, delay + 165), (60, 150))
    # The pressure on GPUs is told of some only: the rule needs five minutes above its limit.
    for one in replicas[: max(2, len(replicas) // 4)]:
        for gpu in one.gpus:
            yield Sign("gpu pressure", (gpu, one), (delay + 420, delay + 450), (60, 120))


def _victim(fleet: Fleet, gpu: Gpu) -> Replica:
    replica = fleet.replica_of(gpu)
    assert replica is not None  # every GPU of a fleet serves
    return replica


def _gpu_lost(fleet: Fleet, gpu: Gpu) -> Iterator[Sign]:
    victim, node = _victim(fleet, gpu), fleet.by_name[gpu.node]
    yield Sign("gpu lost", gpu, (15, 20))
    yield Sign("engine gone", victim, (45, 60), (60, 120))
    yield Sign("gpus missing", node, (45, 100), (0, 30))
    yield Sign("crash loop", victim, (75, 135), (60, 240))
    yield from strain(fleet, [victim])


def _ecc(fleet: Fleet, gpu: Gpu) -> Iterator[Sign]:
    victim = _victim(fleet, gpu)
    yield Sign("gpu xid reset", gpu, (15, 20), (0, 60))
    yield Sign("gpu ecc", gpu, (15, 20), (0, 60))
    yield Sign("engine gone", victim, (45, 60), (-300, -240))
    yield Sign("crash loop", victim, (75, 90), (-60, 0))


def _nvlink(fleet: Fleet, gpu: Gpu) -> Iterator[Sign]:
    victim = _victim(fleet, gpu)
    other = next(one for one in victim.gpus if one != gpu)
    yield Sign("gpu nvlink", gpu, (45, 50))
    yield Sign("gpu nvlink", other, (45, 60))
    yield Sign("gpu xid nvlink", gpu, (15, 75), (0, 60))
    yield Sign("slow tokens", victim, (90, 150), (180, 300))
    yield Sign("slow first token", victim, (120, 200), (180, 300))


def _thermal(fleet: Fleet, gpu: Gpu) -> Iterator[Sign]:
    victim = _victim(fleet, gpu)
    yield Sign("gpu hot", gpu, (150, 200))
    yield Sign("gpu memory hot", gpu, (240, 400), (0, 60))
    yield Sign("gpu slow", gpu, (420, 480), (60, 120))
    yield Sign("slow first token", victim, (300, 560), (120, 300))


def _hang(fleet: Fleet, replica: Replica) -> Iterator[Sign]:
    yield Sign("stalled", replica, (60, 90))
    yield Sign("queue", replica, (90, 150), (0, 30))
    yield Sign("errors", replica, (90, 130), (60, 240))
    yield from strain(fleet, [replica], 30)


def _zombie(fleet: Fleet, replica: Replica) -> Iterator[Sign]:
    yield Sign("errors", replica, (60, 75), (200, 300))
    yield Sign("stalled", replica, (90, 105))
    yield Sign("burn", replica.service, (230, 250), (120, 200))


def _oom(fleet: Fleet, replica: Replica) -> Iterator[Sign]:
    yield Sign("engine gone", replica, (30, 45), (-200, -100))
    yield Sign("errors", replica, (40, 75), (-60, 0))
    yield Sign("crash loop", replica, (90, 150), (0, 60))


def _crash_loop(fleet: Fleet, replica: Replica) -> Iterator[Sign]:
    yield Sign("engine gone", replica, (30, 45), (60, 120))
    yield Sign("crash loop", replica, (180, 300), (60, 240))
    yield from strain(fleet, [replica])


def _surge(fleet: Fleet, service: str) -> Iterator[Sign]:
    yield from _overload(fleet, service, fleet.of_service(service), 0)


def _thrashing(fleet: Fleet, replica: Replica) -> Iterator[Sign]:
    yield Sign("preempting", replica, (75, 120), (60, 100))
    yield Sign("thrashing", replica, (150, 200), (60, 200))
    yield Sign("queue", replica, (120, 180), (60, 100))
    yield Sign("slow first token", replica, (100, 150), (200, 300))
    yield Sign("throughput", replica, (180, 300), (60, 300))


def _node_lost(fleet: Fleet, node: Node) -> Iterator[Sign]:
    yield from _gone(fleet, [node])
    yield from strain(fleet, node.replicas)


def _gone(fleet: Fleet, nodes: list[Node]) -> Iterator[Sign]:
    """Nodes that nothing reaches any more; every other site has our agents on its nodes."""
    agents = sum(map(ord, nodes[0].name)) % 2 == 0
    for node in nodes:
        yield Sign("host down", node, (45, 50))
        if agents:
            yield Sign("agent down", node, (15, 25))
            yield Sign("node lost", node, (90, 105))
        else:
            yield Sign("not ready", node, (105, 120))
        for replica in node.replicas:
            yield Sign("engine gone", replica, (45, 50), (60, 90))
            yield Sign("crash loop", replica, (75, 90), (120, 300))
    if agents and len(nodes) >= 3 and len(nodes) > 0.2 * len(fleet.nodes):
        yield Sign("many agents lost", None, (45, 60))


def _rack_lost(fleet: Fleet, rack: Rack) -> Iterator[Sign]:
    nodes = fleet.of_rack(rack)
    yield Sign("switch down", rack, (30, 45))  # it has no power either
    yield from _gone(fleet, nodes)
    yield from strain(fleet, [one for node in nodes for one in node.replicas])


def _leaf_lost(fleet: Fleet, rack: Rack) -> Iterator[Sign]:
    """The nodes run on and nobody reaches them; the switch itself is watched out of band, or not at all."""
    nodes = fleet.of_rack(rack)
    if int(rack.name[1:]) % 2:
        yield Sign("switch down", rack, (30, 45))
    yield from _gone(fleet, nodes)
    yield from strain(fleet, [one for node in nodes for one in node.replicas])


def _fabric(fleet: Fleet, rack: Rack) -> Iterator[Sign]:
    """The leaf of the InfiniBand fabric: every port of the rack is down, the nodes are still reached."""
    for node in fleet.of_rack(rack):
        yield Sign("port down", node, (30, 45))
        for replica in node.replicas[:1]:
            yield Sign("slow tokens", replica, (90, 150), (200, 300))


def _rack_hot(fleet: Fleet, rack: Rack) -> Iterator[Sign]:
    yield Sign("rack hot", rack, (240, 270))
    for node in fleet.of_rack(rack):
        for gpu in node.gpus[::3]:
            yield Sign("gpu hot", gpu, (330, 500), (60, 180))
        for replica in node.replicas[:1]:
            yield Sign("slow first token", replica, (500, 640), (120, 300))


def _congestion(fleet: Fleet, rack: Rack) -> Iterator[Sign]:
    for node in fleet.of_rack(rack):
        yield Sign("retransmits", node, (300, 330), (120, 300))
    for node in fleet.of_rack(rack)[:3]:
        yield Sign("slow tokens", node.replicas[0], (90, 150), (200, 300))


def _exporter_gap(fleet: Fleet, node: Node) -> Iterator[Sign]:
    yield Sign("exporter down", node, (45, 50))


def _driver(fleet: Fleet, node: Node) -> Iterator[Sign]:
    yield Sign("driver failing", node, (75, 90))
    yield Sign("gpus missing", node, (75, 120))


KINDS = {
    kind.id: kind
    for kind in (
        Kind("G01", "GPU off the bus", "gpu", (600, 900), _gpu_lost),
        Kind("G02", "double-bit ECC", "gpu", (500, 700), _ecc),
        Kind("G07", "NVLink errors", "gpu", (500, 800), _nvlink),
        Kind("G08", "thermal throttle", "gpu", (700, 900), _thermal),
        Kind("G12", "hung TP group", "replica", (400, 600), _hang),
        Kind("S01", "GPU out of memory", "replica", (400, 500), _oom),
        Kind("S02", "demand surge", "service", (500, 700), _surge),
        Kind("S03", "preemption storm", "replica", (500, 700), _thrashing),
        Kind("S07", "crash loop", "replica", (600, 900), _crash_loop),
        Kind("S13", "zombie engine", "replica", (300, 600), _zombie),
        Kind("N02", "node lost", "node", (600, 900), _node_lost),
        Kind("N04", "rack congestion", "rack", (600, 800), _congestion),
        Kind("N05", "rack cooling loss", "rack", (700, 900), _rack_hot),
        Kind("N06", "monitoring gap", "node", (400, 600), _exporter_gap),
        Kind("N09", "driver mismatch", "node", (600, 800), _driver),
        Kind("R01", "rack without power", "rack", (600, 900), _rack_lost),
        Kind("R02", "leaf switch failed", "rack", (600, 900), _leaf_lost),
        Kind("R03", "fabric leaf failed", "rack", (600, 900), _fabric),
    )
}
