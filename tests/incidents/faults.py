"""Faults as other people's rules tell them: names and labels that no table of ours has."""

from __future__ import annotations

from collections.abc import Callable

from tests.incidents.house import Sign

RACK = 8
"""Nodes a rack."""


def node(number: int) -> dict[str, str]:
    return {"node": f"n{number}", "rack": f"r{number // RACK}"}


def pod(number: int, index: int = 0) -> dict[str, str]:
    return {"pod": f"chat-7d9f8c6b5-{number:03}{'abcd'[index]}x", "node": f"n{number}", "model_name": "chat"}


def say(fault: str, name: str, severity: str, begins: int, ends: int, **labels: str) -> Sign:
    return Sign(fault, {"alertname": name, "severity": severity, **labels}, begins, ends)


def node_loss(nodes: int, at: int) -> list[Sign]:
    n = nodes - 1
    return [
        say("node", "NodeDown", "critical", at, at + 300, **node(n)),
        say("node", "VllmDown", "critical", at + 10, at + 330, **pod(n)),
        say("node", "VllmDown", "critical", at + 10, at + 330, **pod(n, 1)),
        say("node", "KubePodNotReady", "warning", at + 40, at + 330, pod=pod(n)["pod"], namespace="serving"),
        say("node", "InstanceDown", "warning", at + 20, at + 300, instance=f"n{n}:9100", job="node"),
    ]


def xid79(nodes: int, at: int) -> list[Sign]:
    gpu = {"node": "n0", "gpu": "3", "UUID": "GPU-0-3"}
    return [
        say("xid", "GpuXid79", "critical", at, at + 300, **gpu),
        say("xid", "GpuFallenOffBus", "critical", at + 10, at + 300, **gpu),
        say("xid", "VllmDown", "critical", at + 20, at + 320, **pod(0, 2)),
        say("xid", "VllmQueueHigh", "warning", at + 40, at + 320, **pod(0, 2)),
    ]


def nvlink_flap(nodes: int, at: int) -> list[Sign]:
    return [
        say("nvlink", "NvlinkErrors", "warning", at, at + 200, node="n0", gpu=gpu, UUID=f"GPU-0-{gpu}")
        for gpu in ("5", "6")
    ]


def leaf_loss(nodes: int, at: int) -> list[Sign]:
    down = [
        say("leaf", "NodeUnreachable", "critical", at + 5, at + 300, node=f"n{n}", rack="r0")
        for n in range(min(RACK, nodes - 1))
    ]
    return [say("leaf", "SwitchDown", "critical", at, at + 300, switch="leaf-0", rack="r0"), *down]


def rack_loss(nodes: int, at: int) -> list[Sign]:
    """Nobody watches the rack itself."""
    return [
        say("rack", "HostDown", "critical", at, at + 300, node=f"n{n}", rack="r0")
        for n in range(min(RACK, nodes))
    ]


def oom(nodes: int, at: int) -> list[Sign]:
    one = pod(0, 3)
    return [
        say("oom", "PodOOMKilled", "warning", at, at + 200, **one),
        say("oom", "VllmDown", "warning", at + 5, at + 220, **one),
        say("oom", "PodCrashLooping", "warning", at + 60, at + 240, pod=one["pod"], namespace="serving"),
    ]


def bad_rollout(nodes: int, at: int) -> list[Sign]:
    return [
        say("rollout", "RolloutErrorRateHigh", "critical", at, at + 300, service="summaries", version="v2"),
        say("rollout", "HighErrorRate", "warning", at + 15, at + 320, service="summaries"),
    ]


def overload(nodes: int, at: int) -> list[Sign]:
    return [
        say("overload", "GatewayOverloaded", "critical", at, at + 300, service="chat"),
        say("overload", "HighTTFT", "warning", at + 5, at + 330, service="chat"),
        say("overload", "RequestQueueLong", "warning", at + 30, at + 330, service="chat"),
    ]


FAULTS: dict[str, Callable[[int, int], list[Sign]]] = {
    "node": node_loss,
    "xid": xid79,
    "nvlink": nvlink_flap,
    "leaf": leaf_loss,
    "rack": rack_loss,
    "oom": oom,
    "rollout": bad_rollout,
    "overload": overload,
}
