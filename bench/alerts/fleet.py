"""The clusters that streams speak of: racks with a leaf switch each, nodes, GPUs, replicas, services.

Names follow from the seed. There are 8 GPUs a node, 2 to 4 replicas a node, 8 to 16 nodes a rack, and each
service has replicas on many nodes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from simulator.build import make_uid

GPUS = 8
SERVICES = ("llama-70b", "qwen-32b", "mixtral-8x22b", "embed-large", "rerank-base", "whisper-large")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Rack:
    """Nodes with a common power feed and the leaf switch `leaf`."""

    name: str
    leaf: str


@dataclass(frozen=True)
class Gpu:
    """One accelerator."""

    node: str
    index: int
    uuid: str


@dataclass(frozen=True)
class Replica:
    """One engine: a pod on a tensor-parallel group of GPUs."""

    pod: str
    node: str
    service: str
    address: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Node:
    """A host."""

    name: str
    rack: Rack
    address: str
    exporter: str
    """The suffix of its DaemonSets' pods."""
    gpus: tuple[Gpu, ...]
    replicas: tuple[Replica, ...]


@dataclass(frozen=True)
class Fleet:
    """A cluster."""

    nodes: tuple[Node, ...]
    racks: tuple[Rack, ...]
    by_name: dict[str, Node] = field(repr=False)

    @property
    def replicas(self) -> list[Replica]:
        """All of them, in the order of their nodes."""
        return [replica for node in self.nodes for replica in node.replicas]

    @property
    def services(self) -> list[str]:
        """Those that have a replica."""
        return list(dict.fromkeys(replica.service for replica in self.replicas))

    def of_service(self, service: str) -> list[Replica]:
        """Its replicas."""
        return [replica for replica in self.replicas if replica.service == service]

    def of_rack(self, rack: Rack) -> list[Node]:
        """Its nodes."""
        return [node for node in self.nodes if node.rack == rack]

    def replica_of(self, gpu: Gpu) -> Replica | None:
        """Who uses a GPU."""
        return next((one for one in self.by_name[gpu.node].replicas if gpu in one.gpus), None)


def build(size: int, seed: int) -> Fleet:
    """A fleet of `size` nodes."""
    chance = random.Random(f"fleet {size} {seed}")
    racks: list[Rack] = []
    nodes: list[Node] = []
    services = SERVICES[: max(1, min(len(SERVICES), size // 4))]
    while len(nodes) < size:
        number = len(racks) + 1
        rack = Rack(f"r{number:02d}", f"leaf-{number:02d}")
        racks.append(rack)
        for _ in range(min(chance.randint(8, 16), size - len(nodes))):
            nodes.append(_node(len(nodes) + 1, rack, services, chance))
    return Fleet(tuple(nodes), tuple(racks), {node.name: node for node in nodes})


def _node(number: int, rack: Rack, services: tuple[str, ...], chance: random.Random) -> Node:
    name = f"gpu-node-{number:03d}"
    address = f"10.8.{number // 200}.{number % 200 + 10}"
    gpus = tuple(Gpu(name, index, f"GPU-{make_uid(chance)}") for index in range(GPUS))
    count = chance.choice((2, 2, 4))
    width = GPUS // count
    replicas = tuple(
        _replica(name, number, place, gpus[place * width : (place + 1) * width], services, chance)
        for place in range(count)
    )
    return Node(name, rack, address, _suffix(chance), gpus, replicas)


def _replica(
    node: str,
    number: int,
    place: int,
    gpus: tuple[Gpu, ...],
    services: tuple[str, ...],
    chance: random.Random,
) -> Replica:
    service = services[(number + place // 2) % len(services)]
    pod = f"{service}-{chance.getrandbits(38):010x}-{_suffix(chance)}"
    return Replica(pod, node, service, f"10.9.{number % 250}.{place + 10}:8000", gpus)


def _suffix(chance: random.Random) -> str:
    return "".join(chance.choices(_LETTERS, k=5))
