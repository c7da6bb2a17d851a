"""Putting a cluster together: names, UUIDs and addresses that follow from the seed."""

from __future__ import annotations

import random

from model.moment import DAY
from simulator.gpu import Gpu
from simulator.node import Node, Rack
from simulator.replica import Replica
from simulator.request import Ledger
from simulator.settings import ClusterSettings
from simulator.world import World

_POD_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes uses in generated names
_BUSES = (0x1A, 0x2A, 0x3A, 0x4A, 0x9A, 0xAB, 0xBA, 0xDB, 0x5A, 0x6A, 0x7A, 0x8A, 0xC3, 0xD3, 0xE3, 0xF3)
_BOARD_SPREAD = 0.02  # relative difference between healthy boards


def make_uid(source: random.Random) -> str:
    """A random UUID of version 4."""
    digits = f"{source.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def build_nodes(settings: ClusterSettings, now: int) -> tuple[list[Rack], list[Node]]:
    """Racks and nodes with their GPUs; names sort in the order of building."""
    source = random.Random(f"hardware {settings.seed}")
    width = len(str(settings.nodes))
    racks = [
        Rack(f"rack-{number + 1}", settings.gpu.inlet)
        for number in range(-(-settings.nodes // settings.nodes_per_rack))
    ]
    nodes = []
    for number in range(settings.nodes):
        name = f"gpu-node-{number + 1:0{width}d}"
        node = Node(
            name=name,
            rack=racks[number // settings.nodes_per_rack],
            gpus=[_build_gpu(settings, name, index, source) for index in range(settings.gpus_per_node)],
            uid=make_uid(source),
            address=f"10.0.{number // 200}.{number % 200 + 10}",
            booted=now - source.randrange(3 * DAY, 40 * DAY),
            ready_since=now,
        )
        nodes.append(node)
    return racks, nodes


def _build_gpu(settings: ClusterSettings, node: str, index: int, source: random.Random) -> Gpu:
    return Gpu(
        node=node,
        index=index,
        uuid=f"GPU-{make_uid(source)}",
        pci_bus_id=f"00000000:{_BUSES[index]:02X}:00.0",
        settings=settings.gpu,
        resistance=source.gauss(1.0, _BOARD_SPREAD),
        draw=source.gauss(1.0, _BOARD_SPREAD),
    )


def build_replicas(
    settings: ClusterSettings, nodes: list[Node], world: World, ledger: Ledger
) -> list[Replica]:
    """Replicas of the service, on consecutive GPUs of each node, warm as after hours of work."""
    source = random.Random(f"pods {settings.seed}")
    size = settings.engine.gpus
    per_node = settings.replicas_per_node
    per_node = settings.gpus_per_node // size if per_node is None else per_node
    template = f"{settings.service}-{source.getrandbits(38):010x}"
    replicas = []
    for node in nodes:
        for first in range(0, per_node * size, size):
            gpus = node.gpus[first : first + size]
            for gpu in gpus:
                gpu.settle(settings.gpu.busy_power * gpu.draw)
            pod = f"{template}-{''.join(source.choices(_POD_LETTERS, k=5))}"
            replicas.append(Replica(pod, make_uid(source), node.name, gpus, settings, world, ledger))
    return replicas
