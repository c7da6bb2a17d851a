"""From what a device plugin or DRA driver calls a device to the UUID by which the driver knows it.

| spelling | from |
| --- | --- |
| `GPU-<uuid>`, `MIG-<uuid>` | NVIDIA's device plugin |
| `GPU-<uuid>::3` | its replicas, for time slicing and MPS |
| `MIG-GPU-<uuid>/<gpu instance>/<compute instance>` | the same before driver 470 |
| `nvidia0`, `nvidia0/gi2`, `nvidia0/vgpu1`, `nvidia0/gi2/vgpu1` | GKE's device plugin; minor numbers |
| `0` | plugins that count as the driver does |
| `gpu-0`, `gpu-0-mig-9-4-4`, CDI names that end so or hold a UUID | NVIDIA's DRA driver; minor numbers |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from agent.gpu.protocol import Identity
from agent.pods.resources import Grant

_REPLICA = re.compile(r"(.+?)(?:::\d+|/vgpu\d+)")
_OLD_MIG = re.compile(r"MIG-(GPU-[^/]+)/(\d+)/(\d+)")
_NODE = re.compile(r"nvidia(\d+)(?:/gi(\d+))?")
_UUID = re.compile(r"(gpu|mig)(-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.IGNORECASE)
_CLAIMED = re.compile(r"(?:.*[^0-9a-z])?gpu-(\d+)(-mig-.+)?")


class Found(NamedTuple):
    """A device's UUID, and whether the grant is one of several replicas of it."""

    uuid: str
    replica: bool = False


def find(grant: Grant, known: Collection[Identity]) -> Found | None:
    """The device that was granted; None if no device here is called so.

    A UUID is taken as it stands, `known` or not: a GPU that is lost is still somebody's.
    """
    if grant.claimed:
        uuids = [uuid for name in (grant.device, *grant.cdi) for uuid in _of_claim(name, known)]
        return Found(uuids[0]) if uuids else None
    base, replica = grant.device, False
    if split := _REPLICA.fullmatch(base):
        base, replica = split[1], True
    for uuid in _of_plugin(base, known):
        return Found(uuid, replica)
    return None


def _of_plugin(name: str, known: Collection[Identity]) -> Iterator[str]:
    if any(device["uuid"] == name for device in known):
        yield name
    elif old := _OLD_MIG.fullmatch(name):
        place = (old[1], int(old[2]), int(old[3]))
        for device in known:
            if (device["parent"], device["gpu_instance"], device["compute_instance"]) == place:
                yield device["uuid"]
    elif _UUID.fullmatch(name):
        yield name
    elif node := _NODE.fullmatch(name):
        gpu = _by_minor(int(node[1]), known)
        if gpu is not None and node[2] is None:
            yield gpu
        elif gpu is not None:
            yield from (
                each["uuid"]
                for each in known
                if each["parent"] == gpu and each["gpu_instance"] == int(node[2])
            )
    elif name.isascii() and name.isdigit():
        yield from (each["uuid"] for each in known if not each["parent"] and each["index"] == int(name))


def _of_claim(name: str, known: Collection[Identity]) -> Iterator[str]:
    if spelled := _UUID.search(name):
        # DRA names are lower case by rule.
        yield spelled[1].upper() + spelled[2].lower()
    elif numbered := _CLAIMED.fullmatch(name):
        gpu = _by_minor(int(numbered[1]), known)
        if gpu is None:
            return
        parts = [device["uuid"] for device in known if device["parent"] == gpu]
        # Profile and placement do not say which instance it is; of one alone there is no doubt.
        yield parts[0] if numbered[2] and len(parts) == 1 else gpu


def _by_minor(minor: int, known: Collection[Identity]) -> str | None:
    """The GPU at /dev/nvidia<minor>; by its index where the driver does not tell minor numbers."""
    gpus = [device for device in known if not device["parent"]]
    for device in gpus:
        if (device["minor"] if device["minor"] >= 0 else device["index"]) == minor:
            return device["uuid"]
    return None
