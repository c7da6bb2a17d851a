"""What the agent and its probe say to each other: one JSON object a line, on the probe's stdin and stdout.

The agent asks (`Request`), the probe answers each sweep with one `Sweep`, and says an `Occurrence` the moment
that the driver reports it. Plain dictionaries, because both ends are ours, it happens every second, and the
probe must stay small.

The probe is `python -m agent.gpu.probe [--hung-after SECONDS] [--slow-interval SECONDS] [--no-processes]`.
It releases the driver and exits when it is asked to, on SIGTERM, and when its stdin ends; it ignores SIGINT.
What it writes to stderr is for people. A sweep takes at most its deadline; requests are answered in turn.
"""

from __future__ import annotations

import json
from typing import Literal, NotRequired, TypedDict, cast

RELEASED, FAULT, USAGE, OUTDATED = 0, 1, 2, 3
"""How the probe exits: it let go of the driver; a fault of its own, with a traceback on stderr; unknown
arguments; the library that it has loaded and the driver differ (NVML 18, after an upgrade), which its last
sweep said: start another probe, which loads the library of now."""

DriverState = Literal["ready", "absent", "waiting", "hung", "failing"]
"""Absent: no library or no loaded driver, which is healthy. Waiting: a call is not back; hung: for long.
Failing: the driver as a whole answers with errors, or no GPU that it counts says who it is."""

DeviceState = Literal["up", "waiting", "hung", "lost", "failing"]
"""Lost: the driver names an error that means that the GPU is gone, or lists it no more. Failing: it answers
nothing but other errors, or that it must be reset. Waiting and hung: an earlier call has not returned, and no
new one is made."""


class Request(TypedDict):
    """`sweep`: read what is due and answer within `deadline` seconds. `release`: let go of it and exit.

    `look`: as a sweep, but ask each GPU only whether it answers; the reports have no values.
    """

    do: Literal["sweep", "look", "release"]
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
    """The driver call that has not returned, `nvmlDeviceGetTemperature`, else empty."""
    seconds: float
    """For how long this device has not answered."""
    values: dict[str, float]
    """By family: what has no labels but the device's. Those that are read seldom are repeated until then."""
    parts: list[tuple[str, dict[str, str], float]]
    """Family, further labels (`nvlink`), value. As JSON has no tuples, this arrives as a list of three."""
    processes: list[Process]
    missing: NotRequired[dict[str, str]]
    """Families that this device does not give, with the reason; all of them, when they changed."""
    refused: dict[str, int]
    """Values that no device can have, by family, counted since the probe began."""


class Unmet(TypedDict):
    """A GPU that the driver counts and that does not say who it is."""

    index: int
    state: DeviceState
    """Lost or failing."""
    reason: str


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
    """GPUs that the driver lists; 0 if it is absent, -1 while that is unknown."""
    identities: list[Identity]
    """Of the devices that are new or have changed."""
    devices: list[DeviceReport]
    """Of every GPU that was ever seen and of each MIG instance that there is, in the driver's order."""
    unmet: NotRequired[list[Unmet]]
    """If there are any."""
    events: str
    """Why the driver's events are not heard, empty if they are."""


class Occurrence(TypedDict):
    """Something that the driver reported by itself."""

    say: Literal["event"]
    kind: Literal["xid", "unavailable", "recovery", "other"]
    uuid: str
    """Of the GPU, empty if the driver named one that is not known."""
    code: int
    """The XID; what came with the report of another kind; the driver's event type for `other`."""
    gpu_instance: int
    """-1 if it concerns the whole GPU."""
    compute_instance: int


class Released(TypedDict):
    """The probe has let go of the driver and exits; `reason` says what it had to leave behind."""

    say: Literal["released"]
    reason: str


Message = Sweep | Occurrence | Released

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def encode(message: Request | Message) -> bytes:
    """One line."""
    return _ENCODER.encode(message).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises ValueError if it is none."""
    found = json.loads(line)
    if (
        not isinstance(found, dict)
        or found.get("do") not in ("sweep", "look", "release")
        or not isinstance(found.get("number"), int)
        or not isinstance(found.get("deadline"), int | float)
    ):
        raise ValueError(f"not a request: {line[:80]!r}")
    return cast(Request, found)


def decode_message(line: bytes) -> Message:
    """Raises ValueError if it is none."""
    found = json.loads(line)
    if not isinstance(found, dict) or found.get("say") not in ("sweep", "event", "released"):
        raise ValueError(f"not a message of the probe: {line[:80]!r}")
    return cast(Message, found)
