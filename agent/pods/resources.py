"""ListPodResourcesResponse, read into grants: which container was given which device.

Field numbers: kubernetes/kubelet pkg/apis/podresources/v1/api.proto. What we do not need (CPUs, memory,
topology, which make up most of a large answer) is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from agent.pods.owner import Owner
from wire.protobuf import BYTES, MalformedMessage, fields

MAX_GRANTS = 10_000
"""Devices of all kinds on a node: 8 GPUs in 100 replicas are 800."""


class Grant(NamedTuple):
    """One device of one container.

    `device` is the device plugin's id. Where it came by a resource claim (DRA) `claimed` holds, `resource` is
    the driver's name, `device` the driver's name of it and `cdi` what the container runtime was told.
    """

    owner: Owner
    resource: str
    device: str
    claimed: bool = False
    cdi: tuple[str, ...] = ()


def grants(answer: bytes) -> list[Grant]:
    """Every device that a container has. Raises MalformedMessage."""
    found = []
    for number, start, end in _messages(answer, 0, len(answer)):
        if number == 1:  # pod_resources
            for grant in _pod(answer, start, end):
                found.append(grant)
                if len(found) > MAX_GRANTS:
                    raise MalformedMessage(f"more than {MAX_GRANTS} devices")
    return found


def _messages(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field that is a message, a string or bytes."""
    return ((number, at, stop) for number, kind, at, stop in fields(data, start, end) if kind == BYTES)


def _text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage("a string that is not UTF-8") from error


def _pod(data: bytes, start: int, end: int) -> Iterator[Grant]:
    """PodResources: 1 name, 2 namespace, 3 containers."""
    names, containers = {1: "", 2: ""}, []
    for number, at, stop in _messages(data, start, end):
        if number in names:
            names[number] = _text(data, at, stop)
        elif number == 3:
            containers.append((at, stop))
    for at, stop in containers:
        yield from _container(data, at, stop, names[1], names[2])


def _container(data: bytes, start: int, end: int, pod: str, namespace: str) -> Iterator[Grant]:
    """ContainerResources: 1 name, 2 devices, 5 dynamic_resources."""
    name, parts = "", []
    for number, at, stop in _messages(data, start, end):
        if number == 1:
            name = _text(data, at, stop)
        elif number in (2, 5):
            parts.append((number, at, stop))
    owner = Owner(pod, namespace, name)
    for number, at, stop in parts:
        yield from _devices(data, at, stop, owner) if number == 2 else _claim(data, at, stop, owner)


def _devices(data: bytes, start: int, end: int, owner: Owner) -> Iterator[Grant]:
    """ContainerDevices: 1 resource_name, 2 device_ids."""
    resource, devices = "", []
    for number, at, stop in _messages(data, start, end):
        if number == 1:
            resource = _text(data, at, stop)
        elif number == 2:
            devices.append(_text(data, at, stop))
    for device in devices:
        yield Grant(owner, resource, device)


def _claim(data: bytes, start: int, end: int, owner: Owner) -> Iterator[Grant]:
    """DynamicResource: 4 claim_resources, each of 1 cdi_devices, 2 driver_name, 4 device_name."""
    for number, at, stop in _messages(data, start, end):
        if number != 4:
            continue
        names, cdi = {2: "", 4: ""}, []
        for part, begin, finish in _messages(data, at, stop):
            if part == 1:  # CDIDevice: 1 name
                cdi += [_text(data, a, b) for field, a, b in _messages(data, begin, finish) if field == 1]
            elif part in names:
                names[part] = _text(data, begin, finish)
        # Kubelets before 1.31 name no driver: it stands in front of the CDI name, less its prefix.
        resource = names[2] or (cdi[0].partition("/")[0].removeprefix("k8s.") if cdi else "")
        yield Grant(owner, resource, names[4], True, tuple(cdi))
