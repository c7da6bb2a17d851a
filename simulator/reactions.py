"""How the rest of the cluster answers when hardware goes and comes back, each part after its own delay."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.gpu import Gpu
from simulator.node import Node
from simulator.replica import Replica, State
from simulator.world import World


def lose_gpu(world: World, node: Node, gpu: Gpu, replica: Replica | None) -> None:
    """The driver lost a GPU: exporter, engine and device plugin each notice in their time."""
    if not gpu.present:
        return
    gpu.present = False
    gpu.busy = gpu.tensor = 0.0
    world.after("exporter_notices", lambda _: _vanish(world, gpu))
    world.after("device_plugin_notices", lambda _: _count_devices(world, node))
    if replica is not None:
        world.after("engine_notices", lambda _: _abort(replica, gpu))


def regain_gpu(world: World, node: Node, gpu: Gpu, replica: Replica | None) -> None:
    """A reset brought it back: its series return, it can be scheduled again, its engine can start."""
    if gpu.present:
        return
    gpu.reset()
    world.after("device_plugin_notices", lambda _: _count_devices(world, node))
    if replica is not None and replica.state in (State.EXITED, State.LOADING) and replica.node_up:
        replica.start()


def lose_node(world: World, node: Node, replicas: Sequence[Replica]) -> None:
    """The host is gone: nothing on it answers; Kubernetes learns it when the lease runs out."""
    if not node.up:
        return
    node.up = False
    for replica in replicas:
        replica.lose_node()
        world.after("probe", lambda _, replica=replica: _unready(replica))  # type: ignore[misc]
    world.after("node_lease", lambda _: _set_ready(world, node))


def regain_node(world: World, node: Node, replicas: Sequence[Replica]) -> None:
    """The host booted."""
    if node.up:
        return
    node.up, node.booted = True, world.now
    for replica in replicas:
        replica.regain_node()
    _set_ready(world, node)


def _vanish(world: World, gpu: Gpu) -> None:
    if not gpu.present:
        gpu.visible = False
        world.note(gpu.entity, "is gone from the exporter")


def _abort(replica: Replica, gpu: Gpu) -> None:
    if not gpu.present:
        replica.die("the collective aborts without the lost GPU")


def _count_devices(world: World, node: Node) -> None:
    healthy = sum(gpu.present for gpu in node.gpus)
    if healthy != node.allocatable:
        node.allocatable = healthy
        world.note(node.entity, f"offers {healthy} of {len(node.gpus)} GPUs to Kubernetes")


def _unready(replica: Replica) -> None:
    if not replica.node_up:
        replica.ready = False


def _set_ready(world: World, node: Node) -> None:
    ready = "True" if node.up else "Unknown"
    if ready != node.ready:
        node.ready, node.ready_since = ready, world.now
        world.note(node.entity, "is Ready" if node.up else "is NotReady: its kubelet stopped answering")
