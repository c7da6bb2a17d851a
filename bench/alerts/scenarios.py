"""Which faults befall which things at which scale: one at a time, and two independent ones at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.alerts.faults import KINDS, Kind
from bench.alerts.fleet import Fleet

SCALES = (1, 8, 50, 200)


@dataclass(frozen=True)
class Fault:
    """A fault of a scenario, `onset` s after the first."""

    id: str
    kind: Kind
    target: Any
    onset: float


def single(fleet: Fleet, kind: Kind, chance: random.Random) -> list[Fault]:
    """One fault on something drawn."""
    return [Fault(f"{kind.id}-1", kind, chance.choice(candidates(fleet, kind)), 0)]


def candidates(fleet: Fleet, kind: Kind) -> list[Any]:
    """What it can befall."""
    found: dict[str, list[Any]] = {
        "gpu": [gpu for node in fleet.nodes for gpu in node.gpus],
        "replica": fleet.replicas,
        "service": fleet.services,
        "node": list(fleet.nodes),
        "rack": list(fleet.racks),
    }
    return found[kind.root]


@dataclass(frozen=True)
class Pair:
    """Two faults at once, and what they share. `gap` is the time between them, s."""

    name: str
    kinds: tuple[str, str]
    share: str
    smallest: int
    gap: float = 0


PAIRS = (
    Pair("two-gpus-one-node", ("G01", "G08"), "node", 1),
    Pair("two-lost-gpus-one-node", ("G01", "G01"), "node", 1, 20),
    Pair("zombie-beside-hot-gpu", ("S13", "G08"), "node", 1),
    Pair("one-service-two-nodes", ("G01", "S13"), "service", 8),
    Pair("surge-and-lost-gpu", ("S02", "G02"), "service", 8, 45),
    Pair("two-nodes-two-racks", ("N02", "N02"), "nothing", 50),
    Pair("two-nodes-one-rack", ("N02", "N02"), "rack", 8, 10),
    Pair("rack-and-gpu-elsewhere", ("R01", "G01"), "nothing", 50, 30),
    Pair("leaf-and-hung-engine", ("R02", "G12"), "nothing", 50),
    Pair("two-racks", ("R01", "R02"), "nothing", 50, 15),
    Pair("node-lost-and-nvlink", ("N02", "G07"), "service", 50, 60),
)


def both(fleet: Fleet, pair: Pair, chance: random.Random) -> list[Fault]:
    """The two faults on things that share what the pair says, and never the same engine or GPU."""
    first, second = (KINDS[kind] for kind in pair.kinds)
    for _ in range(10_000):
        one, other = (chance.choice(candidates(fleet, kind)) for kind in (first, second))
        if _fits(fleet, pair.share, one, other):
            return [
                Fault(f"{first.id}-1", first, one, 0),
                Fault(f"{second.id}-2", second, other, pair.gap),
            ]
    raise ValueError(f"{pair.name}: nothing in this fleet fits")


def _fits(fleet: Fleet, share: str, one: Any, other: Any) -> bool:
    nodes, others = _nodes(fleet, one), _nodes(fleet, other)
    if _engines(fleet, one) & _engines(fleet, other) and not isinstance(one, str):
        return False
    racks = {fleet.by_name[name].rack for name in nodes}, {fleet.by_name[name].rack for name in others}
    if share == "node":
        return bool(nodes & others)
    if share == "rack":
        return not nodes & others and racks[0] == racks[1]
    if share == "service":
        apart = isinstance(one, str) or not nodes & others
        return apart and bool(_services(fleet, one) & _services(fleet, other))
    return not racks[0] & racks[1]


def _nodes(fleet: Fleet, given: Any) -> set[str]:
    if isinstance(given, str):
        return {one.node for one in fleet.of_service(given)}
    if given in fleet.racks:
        return {node.name for node in fleet.of_rack(given)}
    return {getattr(given, "node", None) or given.name}


def _engines(fleet: Fleet, given: Any) -> set[str]:
    """The pods that a fault on this stops."""
    if isinstance(given, str):
        return set()
    if hasattr(given, "uuid"):
        replica = fleet.replica_of(given)
        return {replica.pod} if replica else set()
    if hasattr(given, "pod"):
        return {given.pod}
    return {one.pod for name in _nodes(fleet, given) for one in fleet.by_name[name].replicas}


def _services(fleet: Fleet, given: Any) -> set[str]:
    if isinstance(given, str):
        return {given}
    pods = _engines(fleet, given)
    return {one.service for one in fleet.replicas if one.pod in pods}


def scenarios(fleet: Fleet, seed: int) -> Iterator[tuple[str, list[Fault]]]:
    """Every scenario that this fleet can have, by name."""
    size = len(fleet.nodes)
    for kind in KINDS.values():
        if kind.root == "rack" and size < 8:
            continue
        yield f"{kind.id}", single(fleet, kind, random.Random(f"{kind.id} {size} {seed}"))
    for pair in PAIRS:
        if size >= pair.smallest:
            yield pair.name, both(fleet, pair, random.Random(f"{pair.name} {size} {seed}"))
