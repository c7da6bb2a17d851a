"""Nodes and racks: what carries the GPUs, and what Kubernetes knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.topology import Entity
from simulator.gpu import Gpu


@dataclass
class Rack:
    """Nodes that breathe the same air; `inlet` in Celsius is what a cooling fault sets."""

    name: str
    inlet: float

    @property
    def entity(self) -> Entity:
        """Its name in the topology."""
        return Entity("rack", self.name)


@dataclass
class Node:
    """One GPU node. `allocatable` follows the GPUs with the delay of the device plugin."""

    name: str
    rack: Rack
    gpus: list[Gpu]
    uid: str
    address: str
    booted: int
    cordoned: bool = False
    up: bool = True
    exporter: str = "answers"  # the DCGM exporter: answers, refuses, hangs
    ready: str = "True"  # the condition Ready as Kubernetes spells it
    ready_since: int = 0
    allocatable: int = field(init=False)
    memory_total: int = 2_164_000_000_000
    memory_leaked: float = 0.0
    leak_rate: float = 0.0  # bytes per second
    cpu_busy: float = 0.12
    cpu_seconds: float = 0.0
    received: float = 0.0

    def __post_init__(self) -> None:
        self.allocatable = len(self.gpus)

    @property
    def entity(self) -> Entity:
        """Its name in the topology."""
        return Entity("node", self.name)

    @property
    def memory_available(self) -> int:
        """What node_memory_MemAvailable_bytes says."""
        return max(0, round(self.memory_total * 0.62 - self.memory_leaked))

    def step(self, seconds: float) -> None:
        """Let the host's counters go on."""
        if not self.up:
            return
        self.memory_leaked += self.leak_rate * seconds
        self.cpu_seconds += seconds
        self.received += 4e6 * seconds
