"""What an alert of unknown name is, told from the words of its name.

| role | words | explains, on what stands on it | is explained by |
| --- | --- | --- | --- |
| loss | down, lost, unreachable ... | all but hard evidence and demand | losses and faults beneath |
| fault | xid, ecc, nvlink, thermal, power, oom ... | losses and symptoms | a fault of its family beneath |
| watch | a loss of an exporter, target, agent | nothing | losses beneath |
| symptom | latency, queue, errors, restarts ... | nothing | losses and faults beneath, demand above |
| driver | overload, traffic, rollout, release ... | symptoms of the service and of its replicas | nothing |
| other | anything else | nothing | a loss of what it stands on |

A fault is hard evidence: the hardware or the kernel has said it, and no loss of a node or switch makes them
say so. A loss whose name speaks of a port or link is the loss of a way, not of what it is reported on.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple


class Role(Enum):
    """What kind of statement an alert makes."""

    LOSS = "loss"
    FAULT = "fault"
    WATCH = "watch"
    SYMPTOM = "symptom"
    DRIVER = "driver"
    OTHER = "other"


class Sense(NamedTuple):
    """The role of an alert, for faults and symptoms the family, and whether its name speaks of GPUs.

    A loss of GPUs that is told of a node is not the loss of the node.
    """

    role: Role
    family: str = ""
    of_gpus: bool = False


_LOSS = frozenset(
    [
        "down",
        "lost",
        "loss",
        "unreachable",
        "notready",
        "missing",
        "absent",
        "gone",
        "offline",
        "fallen",
        "dead",
        "outage",
        "disconnected",
        "vanished",
        "disappeared",
        "stalled",
        "notokens",
        "hung",
        "stuck",
        "unresponsive",
        "unavailable",
        "crashed",
        "died",
    ]
)
_DRIVER = frozenset(
    [
        "overload",
        "overloaded",
        "traffic",
        "surge",
        "demand",
        "rollout",
        "release",
        "deploy",
        "canary",
        "revision",
        "ratelimited",
        "retrystorm",
        "gateway",
        "ingress",
    ]
)
_FAMILIES = {
    "xid": "xid sxid bus",
    "memory": "ecc dbe sbe remap remapped rowremap",
    "nvlink": "nvlink nvswitch",
    "pcie": "pcie",
    "thermal": "thermal throttle throttling throttled overheat overheating temperature hot cooling fan",
    "power": "power psu pdu brownout",
    "network": "packet infiniband ib roce crc retransmits",
    "oom": "oom oomkill oomkilled outofmemory",
    "hardware": "hardware hw raid firmware",
}
_FAULT = {word: family for family, words in _FAMILIES.items() for word in words.split()}
_WAY = frozenset(["port", "link", "interface", "nic", "uplink", "ports", "links"])
_WATCH = frozenset(
    [
        "exporter",
        "target",
        "targets",
        "instance",
        "agent",
        "scrape",
        "metrics",
        "telemetry",
        "dcgm",
        "probe",
        "monitoring",
    ]
)
_SYMPTOM = frozenset(
    [
        "latency",
        "ttft",
        "tpot",
        "itl",
        "e2e",
        "slow",
        "slower",
        "queue",
        "queued",
        "backlog",
        "error",
        "errors",
        "errs",
        "rate",
        "throughput",
        "timeout",
        "timeouts",
        "burn",
        "budget",
        "availability",
        "slo",
        "saturation",
        "saturated",
        "preempt",
        "preemption",
        "preempting",
        "restart",
        "restarts",
        "restarting",
        "crash",
        "crashing",
        "crashloop",
        "crashlooping",
        "looping",
        "waiting",
        "mismatch",
        "mismatched",
        "degraded",
        "kv",
        "cache",
        "token",
        "tokens",
        "pending",
        "unschedulable",
        "evicted",
        "p99",
        "p95",
        "5xx",
        "requests",
        "failing",
        "failed",
    ]
)
_ERRORS = frozenset({"error", "errors", "errs", "5xx", "availability", "burn", "budget", "slo"})
_SERVES = frozenset({"vllm", "engine", "replica"})
_SPLIT = re.compile(r"[A-Z]+?(?=P\d)|P\d+|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+[a-z]*")


@lru_cache(maxsize=16_384)
def sense_of(name: str) -> Sense:
    """What the words of an alert's name say.

    >>> sense_of("KubeNodeNotReady").role, sense_of("GpuXid79").family, sense_of("LeafSwitchPortDown").role
    (<Role.LOSS: 'loss'>, 'xid', <Role.FAULT: 'fault'>)
    """
    words = [word.lower() for word in _SPLIT.findall(name)]
    said = set(words) | {first + second for first, second in pairwise(words)}
    of_gpus = bool(said & {"gpu", "gpus"})
    return Sense(*_role(said, _family(words, said)), of_gpus)


def _family(words: list[str], said: set[str]) -> str:
    if {"outof", "memory"} <= said:
        return "oom"
    return next((_FAULT[word] for word in (*words, *sorted(said)) if word in _FAULT), "")


def _role(said: set[str], family: str) -> tuple[Role, str]:
    lost = bool(said & _LOSS)
    if said & _DRIVER and not lost:
        return Role.DRIVER, ""
    if lost and said & _WATCH and not said & _SERVES:
        return Role.WATCH, ""
    if family and not (family == "power" and lost):
        return Role.FAULT, family
    if said & _WAY and (lost or said & {"flap", "flapping"}):
        return Role.FAULT, "way"
    if lost:
        return Role.LOSS, ""
    if not said & _SYMPTOM:
        return Role.OTHER, ""
    return Role.SYMPTOM, "errors" if said & _ERRORS else "load"
