"""What the agent and its probe say to each other: one JSON object a line, on the probe's stdin and stdout.

The agent asks (`Request`), the probe answers each sweep with one `Sweep`, and says an `Occurrence` the moment
that the driver reports it. Plain dictionaries, because both ends are ours, it happens every second, and the
probe must stay small.
"""

from __future__ import annotations

import json
from typing import Literal, NotRequired, TypedDict, cast

DriverState = Literal["ready", "absent", "waiting", "hung", "failing"]
"""Absent: no library or no loaded driver, which is healthy. Waiting: a call is not back; hung: for long."""

DeviceState = Literal["up", "waiting", "hung", "lost", "failing"]
"""Lost: the driver names an error that means that the GPU is gone, or lists it no more."""


class Request(TypedDict):
    """`sweep`: read what is due and answer within `deadline` seconds. `release`: let go of it and exit."""

    do: Literal["sweep", "release"]
    number: int
    """Comes back in the answer."""
    deadline: float


class Identity(TypedDict):
    """Who a device is; said again when it changes. A MIG instance is a device with a `parent`."""

    uuid: str
    index: int
    """Of the GPU in the driver's order; a MIG instance has its GPU's."""
    pci_bus_id: str
    """As the driver spells it: `00000000:17:00.0`."""
    minor: int
    name: str
    serial: str
    parent: str
    """UUID of the GPU that a MIG instance is part of, else empty."""
    profile: str
    """Of a MIG instance, `1g.10gb`, else empty."""
    gpu_instance: int
    """-1 for a whole GPU."""
    compute_instance: int


class Process(TypedDict):
    """A process that has memory of a device. `bytes` is -1 where the driver does not tell."""

    pid: int
    kind: Literal["compute", "graphics", "mps"]
    bytes: int
    name: str


class DeviceReport(TypedDict):
    """One device in one sweep. Without values if it did not answer in time."""

    uuid: str
    state: DeviceState
    reason: str
    call: str
    """The driver call that has not returned, else empty."""
    seconds: float
    """For how long."""
    values: dict[str, float]
    """By family: what has no labels but the device's."""
    parts: list[tuple[str, dict[str, str], float]]
    """Family, further labels (`nvlink`), value."""
    processes: list[Process]
    missing: NotRequired[dict[str, str]]
    """Families that this device does not give, with the reason; all of them, when they changed."""
    refused: dict[str, int]
    """Values that no device can have, by family, counted since the probe began."""


class Sweep(TypedDict):
    """The answer to a sweep."""

    say: Literal["sweep"]
    number: int
    state: DriverState
    reason: str
    call: str
    """A call for the driver as a whole (initialise, count) that has not returned, else empty."""
    seconds: float
    driver: str
    """Version, empty while unknown."""
    nvml: str
    count: int
    """GPUs that the driver lists, -1 while that is unknown."""
    identities: list[Identity]
    """Of the devices that are new or have changed."""
    devices: list[DeviceReport]
    """Of every device that was ever seen, in the driver's order."""
    events: str
    """Why the driver's events are not heard, empty if they are."""


class Occurrence(TypedDict):
    """Something that the driver reported by itself."""

    say: Literal["event"]
    kind: Literal["xid", "unavailable", "recovery", "other"]
    uuid: str
    code: int
    """The XID; the driver's event type for `other`."""
    gpu_instance: int
    compute_instance: int


class Released(TypedDict):
    """The probe has let go of the driver and exits; `reason` says what it had to leave behind."""

    say: Literal["released"]
    reason: str


Message = Sweep | Occurrence | Released


def encode(message: Request | Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises ValueError if it is none."""
    return cast(Request, json.loads(line))


def decode_message(line: bytes) -> Message:
    """Raises ValueError if it is none."""
    found = json.loads(line)
    if not isinstance(found, dict) or found.get("say") not in ("sweep", "event", "released"):
        raise ValueError(f"not a message of the probe: {line[:80]!r}")
    return cast(Message, found)
