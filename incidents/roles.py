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
    "nvlink": "nvlink nvlinks nvswitch",
    "pcie": "pcie",
    "thermal": "thermal throttle throttling throttled overheat overheating temperature hot cooling fan",
    "power": "power psu pdu brownout",
    "network": "packet packets infiniband ib roce crc retransmits",
    "oom": "oom oomkill oomkilled outofmemory",
    "hardware": "hardware hw raid firmware",
}
_FAULT = {word: family for family, words in _FAMILIES.items() for word in words.split()}
_WAY = frozenset(["port", "link", "interface", "nic", "uplink", "ports", "links"])
_LOOKERS = """exporter exporters target targets instance instances agent agents scrape scrapes metrics
    telemetry probe monitoring"""
_WATCH = frozenset(_LOOKERS.split())
_LOOKS_ON = frozenset({"dcgm"})
"""A prefix of what it tells of GPUs; a loss of itself where the name says no more."""

_UNSEEN = frozenset({"failed", "failing", "timeout", "stale"})
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
        "utilization",
        "usage",
        "pressure",
        "idle",
        "wasted",
    ]
)
_ERRORS = frozenset({"error", "errors", "errs", "5xx", "availability", "burn", "budget", "slo"})
_SERVES = frozenset({"vllm", "engine", "replica"})
_SPLIT = re.compile(r"[A-Z]+?(?=P\d)|P\d+|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+[a-z]*")
_THINGS = """gpu gpus cpu node nodes host pod pods rack switch leaf tor server service kube kubernetes nvidia
    vllm llm engine high low count total nv tcp http api"""
_NOUNS = frozenset(_THINGS.split())
_WORDS = frozenset().union(_LOSS, _FAULT, _WAY, _WATCH, _LOOKS_ON, _SYMPTOM, _NOUNS)
"""What a run of letters without a seam is cut into: `GPUXID`, `NODEDOWN`, `gpulost`."""


@lru_cache(maxsize=16_384)
def sense_of(name: str) -> Sense:
    """What the words of an alert's name say.

    >>> sense_of("KubeNodeNotReady").role, sense_of("GpuXid79").family, sense_of("LeafSwitchPortDown").role
    (<Role.LOSS: 'loss'>, 'xid', <Role.FAULT: 'fault'>)
    """
    words = [part for word in _SPLIT.findall(name) for part in _cut(word.lower())]
    said = set(words) | {first + second for first, second in pairwise(words)}
    of_gpus = bool(said & {"gpu", "gpus"})
    return Sense(*_role(said, _family(words, said)), of_gpus)


def _cut(word: str) -> tuple[str, ...]:
    """A run of letters as the known words that it wholly consists of, the longest first; else as it is."""
    if word in _WORDS or len(word) < 4:
        return (word,)
    return _known_parts(word) or (word,)


def _known_parts(word: str) -> tuple[str, ...]:
    for end in range(len(word), 1, -1):
        if word[:end] in _WORDS:
            rest = _known_parts(word[end:]) if end < len(word) else ()
            if rest or end == len(word):
                return (word[:end], *rest)
    return ()


def _family(words: list[str], said: set[str]) -> str:
    """Of the first word that tells one; `NV` and `Link` are one word before `Crc` is another."""
    if {"outof", "memory"} <= said:
        return "oom"
    pairs = [first + second for first, second in pairwise(words)]
    found = next((_FAULT[word] for word in (*pairs, *words) if word in _FAULT), "")
    return "way" if found == "network" and said & _WAY and _is_broken(said) else found


def _is_broken(said: set[str]) -> bool:
    return bool(said & _LOSS) or bool(said & {"flap", "flapping"})


def _role(said: set[str], family: str) -> tuple[Role, str]:
    lost = bool(said & _LOSS)
    if said & _DRIVER and not lost:
        return Role.DRIVER, ""
    if _is_unseen(said, lost, family):
        return Role.WATCH, ""
    if lost and (family == "power" or {"gpu", "bus"} <= said):
        return Role.LOSS, ""
    if family:
        return Role.FAULT, family
    if said & _WAY and _is_broken(said):
        return Role.FAULT, "way"
    if lost:
        return Role.LOSS, ""
    if not said & _SYMPTOM:
        return Role.OTHER, ""
    return Role.SYMPTOM, "errors" if said & _ERRORS else "load"


def _is_unseen(said: set[str], lost: bool, family: str) -> bool:
    """Whether no more is said than that something which looks on is gone, or does not get through."""
    if said & _SERVES:
        return False
    if said & _WATCH:
        return lost or (not family and bool(said & _UNSEEN))
    return lost and not family and bool(said & _LOOKS_ON) and not said & {"gpu", "gpus"}
