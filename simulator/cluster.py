"""The simulated cluster: racks, nodes, GPUs, replicas and a service, moved on by `step` in virtual time.

Nothing here is painted: a fault sets a cause, and temperature, clock, token latency, queues, errors and
what Kubernetes says of it follow. Equal seeds and equal calls give equal runs, whatever the step size.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from model.topology import Entity
from simulator.build import build_nodes, build_replicas
from simulator.episode import Episode, Value
from simulator.fault import Fault, load_faults
from simulator.gpu import Gpu, Work
from simulator.node import Node
from simulator.reactions import lose_gpu, lose_node, regain_gpu, regain_node
from simulator.replica import Replica, State
from simulator.request import Ledger
from simulator.service import Service
from simulator.settings import ClusterSettings
from simulator.world import Happening, World

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where virtual time begins if nobody says otherwise."""

_SLICE = 100  # ms; arrivals are spread within it, balancing sees the loads at its beginning
_PHYSICS = 1_000  # ms between updates of temperature, clock and power


class Cluster:
    """The model behind the faces. `step` it, `inject` faults, act on it as an operator would."""

    def __init__(self, settings: ClusterSettings | None = None, start: int = START) -> None:
        self.settings = settings or ClusterSettings()
        begin = start - self.settings.warm_up
        self.world = World(self.settings.delays, self.settings.seed, begin)
        self.racks, self.nodes = build_nodes(self.settings, begin)
        self.service = Service(self.settings, Ledger())
        self.replicas = build_replicas(self.settings, self.nodes, self.world, self.service.ledger)
        self.service.replicas = self.replicas
        self.episodes: list[Episode] = []
        self._clock = begin
        self._nodes = {node.name: node for node in self.nodes}
        self._replicas = {replica.name: replica for replica in self.replicas}
        self._by_node = {
            node.name: [replica for replica in self.replicas if replica.node == node.name]
            for node in self.nodes
        }
        self._carried = {gpu.uuid for replica in self.replicas for gpu in replica.gpus}
        self.step(self.settings.warm_up)
        self.world.journal.clear()

    @property
    def now(self) -> int:
        """Virtual time in ms: the end of the last whole slice."""
        return self.world.now

    @property
    def journal(self) -> list[Happening]:
        """All that happened, in time order."""
        return self.world.journal

    @property
    def gpus(self) -> list[Gpu]:
        """Every GPU, node by node."""
        return [gpu for node in self.nodes for gpu in node.gpus]

    def step(self, milliseconds: int) -> None:
        """Move on. What is less than a whole slice is kept for the next step."""
        self._clock += milliseconds
        while self.world.now + _SLICE <= self._clock:
            self._slice(self.world.now + _SLICE)

    def inject(self, fault: Fault | str, now: int | None = None, target: str | None = None) -> Episode:
        """Let a fault (or the shipped one of that id) begin at `now`, on `target` or on a drawn one.

        Raises KeyError for an unknown fault and ValueError for a target that is not there.
        """
        fault = load_faults()[fault] if isinstance(fault, str) else fault
        number = sum(episode.fault.id == fault.id for episode in self.episodes) + 1
        name, seed = f"{fault.id}-{number}", f"{self.settings.seed} {fault.id} {number}"
        entity = self._target(fault, target, random.Random(f"target {seed}"))
        onset = self.now if now is None else max(now, self.now)
        episode = Episode(self, fault, entity, onset, name, seed)
        self.episodes.append(episode)
        return episode

    def cordon(self, node: str) -> None:
        """Mark a node unschedulable. Raises KeyError for an unknown one."""
        self._schedulable(node, False)

    def uncordon(self, node: str) -> None:
        """Let pods onto a node again. Raises KeyError for an unknown one."""
        self._schedulable(node, True)

    def restart(self, pod: str) -> None:
        """Restart the container of a replica. Raises KeyError for an unknown one."""
        self.replica(pod).restart("is restarted")

    def node(self, name: str) -> Node:
        """The node of that name (KeyError)."""
        return self._nodes[name]

    def replica(self, name: str) -> Replica:
        """The replica of that pod name (KeyError)."""
        return self._replicas[name]

    def replicas_on(self, node: str) -> list[Replica]:
        """The replicas that a node carries."""
        return self._by_node[node]

    def replica_of(self, gpu: Gpu) -> Replica | None:
        """Who uses a GPU."""
        return next((replica for replica in self._by_node[gpu.node] if gpu in replica.gpus), None)

    # what episodes need

    def related(self, entity: Entity, kind: str) -> Sequence[Any]:
        """The objects of `kind` that carry `entity`, are carried by it, or are it."""
        if kind == "service":
            return [self.service]
        nodes = self._nodes_of(entity)
        if kind == "node":
            return nodes
        if kind == "rack":
            return list({node.rack.name: node.rack for node in nodes}.values())
        if kind == "replica":
            return [
                replica
                for node in nodes
                for replica in self._by_node[node.name]
                if entity.kind != "replica" or entity.name == replica.name
                if entity.kind != "gpu" or any(gpu.uuid == entity.name for gpu in replica.gpus)
            ]
        if entity.kind == "replica":
            return self.replica(entity.name).gpus
        return [gpu for node in nodes for gpu in node.gpus if entity.kind != "gpu" or gpu.uuid == entity.name]

    def write(self, owner: Any, attribute: str, value: Value) -> None:
        """Set a variable of the model; what has consequences of its own goes through a reaction."""
        match owner, attribute, value:
            case Replica(), "state", str():
                owner.become(State(value))
            case Gpu(), "present", False:
                lose_gpu(self.world, self.node(owner.node), owner, self.replica_of(owner))
            case Gpu(), "present", True:
                regain_gpu(self.world, self.node(owner.node), owner, self.replica_of(owner))
            case Node(), "up", False:
                lose_node(self.world, owner, self._by_node[owner.name])
            case Node(), "up", True:
                regain_node(self.world, owner, self._by_node[owner.name])
            case _:
                setattr(owner, attribute, type(getattr(owner, attribute))(value))

    def holds(self, condition: str, entity: Entity, since: int) -> bool:
        """Whether a recovery condition is true of what `entity` stands on or is."""
        if condition == "node_cordoned":
            return all(node.cordoned for node in self.related(entity, "node"))
        return all(replica.started_at > since for replica in self.related(entity, "replica"))

    def serves_fully(self, entity: Entity) -> bool:
        """Whether every replica that has to do with `entity` is ready and serves."""
        return all(
            replica.ready and replica.state is State.SERVING for replica in self.related(entity, "replica")
        )

    def _nodes_of(self, entity: Entity) -> list[Node]:
        match entity.kind:
            case "node":
                return [self.node(entity.name)]
            case "rack":
                return [node for node in self.nodes if node.rack.name == entity.name]
            case "replica":
                return [self.node(self.replica(entity.name).node)]
            case "gpu":
                return [node for node in self.nodes if any(gpu.uuid == entity.name for gpu in node.gpus)]
        return self.nodes

    def _target(self, fault: Fault, name: str | None, source: random.Random) -> Entity:
        kind, serving = fault.target.kind, fault.target.serving
        candidates: dict[str, Sequence[Any]] = {
            "service": [self.service],
            "rack": self.racks,
            "node": [node for node in self.nodes if self._by_node[node.name] or not serving],
            "replica": self.replicas,
            "gpu": [gpu for gpu in self.gpus if gpu.uuid in self._carried or not serving],
        }
        names = [owner.name for owner in candidates[kind]]
        if name is not None and name not in names:
            raise ValueError(
                f"{name!r} is no {kind} that {fault.id} can befall: there are {', '.join(names[:8])}"
            )
        if not names:
            raise ValueError(f"there is no {kind} that {fault.id} can befall")
        return Entity(kind, name or source.choice(names))

    def _schedulable(self, name: str, schedulable: bool) -> None:
        node = self.node(name)
        if node.cordoned == schedulable:
            node.cordoned = not schedulable
            self.world.note(node.entity, "is cordoned" if node.cordoned else "takes pods again")

    def _slice(self, now: int) -> None:
        before, self.world.now = self.world.now, now
        self.world.timeline.run(now)
        for episode in self.episodes:
            if not episode.over:
                episode.step(now)
        self.service.dispatch(before, now)
        for replica in self.replicas:
            replica.advance(now)
        if now % _PHYSICS == 0:
            self._physics()

    def _physics(self) -> None:
        seconds = _PHYSICS / 1000
        for node in self.nodes:
            node.step(seconds)
            for replica in self._by_node[node.name]:
                work = replica.work(_PHYSICS)
                group = max(gpu.slowness for gpu in replica.gpus)
                for gpu in replica.gpus:
                    gpu.step(seconds, work, group, node.rack.inlet)
                replica.engine.slowness = replica.slowness()
            for gpu in node.gpus:
                if gpu.uuid not in self._carried:
                    gpu.step(seconds, Work(), 1.0, node.rack.inlet)
