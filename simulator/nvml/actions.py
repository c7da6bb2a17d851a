"""What can happen in a scenario, as it is written, what is wrong with it, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field

from model.settings import Settings, Size
from simulator.nvml.gpu import StubGpu, check_mig
from simulator.nvml.profile import Load, Profile
from simulator.nvml.stub import Stub
from simulator.nvml.symbols import number_of
from simulator.nvml.table import Gpu, Link
from simulator.nvml.values import ACTIVITY, apply, apply_bogus, set_link

Fault = tuple[str, str]
"""Where in an event, and what is wrong there."""


class Xid(Settings):
    """An XID, in the driver's events and in the kernel's log, or only in one of them."""

    code: int = Field(ge=1, le=999)
    text: str = ""
    """What the kernel's log says behind the number; empty: what is usual."""
    only: Literal["nvml", "kmsg"] | None = None


class Hang(Settings):
    """A call that does not come back; `*` is every call."""

    call: str = "*"
    seconds: float | None = Field(None, gt=0)
    """None: until released."""


class Slow(Settings):
    """A call that takes longer; 0 ends it."""

    call: str = "*"
    milliseconds: int = Field(ge=0, le=60_000)


class Returns(Settings):
    """A call that returns a code instead of an answer; 0 ends it."""

    call: str
    code: int = Field(ge=0, le=999)


class LinkChange(Settings):
    """New values of one NVLink."""

    link: int = Field(ge=0)
    set: dict[str, Any]


class InstanceChange(Settings):
    """New values of one MIG device."""

    index: int = Field(ge=0, le=6)
    set: dict[str, Any]


class RunningProcess(Settings):
    """A process with memory of the GPU."""

    pid: int = Field(ge=1, le=2**32 - 1)
    memory: Size
    kind: Literal["compute", "graphics", "mps"] = "compute"
    mig: int | None = Field(None, ge=0, le=6)
    name: str = ""


class Repeat(Settings):
    """An event that happens several times."""

    every: float = Field(gt=0)
    """Seconds from one to the next."""
    times: int = Field(ge=1, le=10_000)


class Event(Settings):
    """What happens at a moment: on GPUs (`gpu`), to the whole driver, or both. In the order of the fields."""

    at: float = Field(ge=0)
    """Seconds from the beginning."""
    gpu: int | list[int] | Literal["all"] | None = None
    repeat: Repeat | None = None
    driver: str | None = None
    init_returns: int | None = Field(None, ge=0, le=999)
    upgrade: str | None = None
    release: bool = False
    load: Load | None = None
    mig: list[str] | None = None
    set: dict[str, Any] | None = None
    link: LinkChange | None = None
    instance: InstanceChange | None = None
    processes: list[RunningProcess] | None = None
    bogus: dict[str, int | float] | None = None
    hang: Hang | None = None
    slow: Slow | None = None
    returns: Returns | None = None
    xid: Xid | int | None = None
    event: int | None = Field(None, ge=1)
    """An event of this type (nvmlEventType*) without data."""
    state: Literal["up", "lost", "reset_required", "gone"] | None = None

    @property
    def xid_told(self) -> Xid | None:
        """The XID, in its long form."""
        return Xid(code=self.xid) if isinstance(self.xid, int) else self.xid

    @property
    def parts_named(self) -> dict[str, int]:
        """By place: numbers of the MIG devices that have to be there when it happens."""
        named = {"instance.index": self.instance.index} if self.instance else {}
        for number, process in enumerate(self.processes or []):
            if process.mig is not None:
                named[f"processes.{number}.mig"] = process.mig
        return named

    def targets(self, count: int) -> list[int]:
        """Numbers of the GPUs that it befalls, of a machine with so many."""
        if self.gpu is None:
            return []
        if self.gpu == "all":
            return list(range(count))
        return [self.gpu] if isinstance(self.gpu, int) else list(self.gpu)


_NEEDS_GPU = ("load", "mig", "set", "link", "instance", "processes", "xid", "event", "state")
_SYSTEM = ("driver", "init_returns", "upgrade")
_EITHER = ("release", "bogus", "hang", "slow", "returns")


def faults_of(event: Event, count: int, profile: Profile) -> Iterator[Fault]:
    """Everything that is wrong with an event on a machine with `count` GPUs of a kind, where and what."""
    told = event.model_fields_set
    if not told & {*_NEEDS_GPU, *_SYSTEM, *_EITHER}:
        yield "", f"nothing happens: write one of {', '.join((*_NEEDS_GPU, *_SYSTEM, *_EITHER))}"
    for name in _NEEDS_GPU:
        if name in told and event.gpu is None:
            yield name, "happens to a GPU: add `gpu`, a number, a list of them or all"
    for gpu in event.targets(count):
        if not 0 <= gpu < count:
            yield "gpu", f"there is no GPU {gpu}: they are 0 to {count - 1}"
    yield from _faulty_calls(event)
    yield from _faulty_values(event, profile)


def _faulty_calls(event: Event) -> Iterator[Fault]:
    for name in ("hang", "slow", "returns"):
        action = getattr(event, name)
        if action is not None and action.call != "*":
            yield from _tried(f"{name}.call", lambda call=action.call: number_of(call))  # type: ignore[misc]


def _faulty_values(event: Event, profile: Profile) -> Iterator[Fault]:
    scratch = Gpu(link_count=profile.links)
    for name, value in (event.set or {}).items():
        yield from _tried(f"set.{name}", lambda n=name, v=value: apply(scratch, {n: v}, 0))  # type: ignore[misc]
    if event.link is not None:
        if event.link.link >= profile.links:
            yield "link.link", f"there is no link {event.link.link}: this GPU has {profile.links}"
        for name, value in event.link.set.items():
            place = f"link.set.{name}"
            yield from _tried(place, lambda n=name, v=value: set_link(Link(), {n: v}, 0))  # type: ignore[misc]
    if event.mig is not None:
        yield from _tried("mig", lambda: check_mig(profile, event.mig or []))
    for name in event.instance.set if event.instance else {}:
        if name != "memory_used" and name.removesuffix("_activity") not in ACTIVITY:
            yield f"instance.set.{name}", "a MIG device has memory_used and <name>_activity"
    for name, value in (event.bogus or {}).items():
        place = f"bogus.{name}"
        yield from _tried(place, lambda n=name, v=value: apply_bogus(scratch, n, v, 0))  # type: ignore[misc]


def _tried(place: str, action: Callable[[], object]) -> Iterator[Fault]:
    try:
        action()
    except (ValueError, TypeError) as error:
        yield place, str(error)


def perform(event: Event, stub: Stub) -> None:
    """Do to the driver what the event says, all at once; the kernel's log is not ours."""
    with stub.table.writing():
        _to_driver(event, stub)
        for slot in event.targets(len(stub.gpus)):
            _to_gpu(event, stub.gpus[slot])


def _to_driver(event: Event, stub: Stub) -> None:
    if event.driver is not None:
        stub.driver(event.driver)
    if event.init_returns is not None:
        stub.init_returns(event.init_returns)
    if event.upgrade is not None:
        stub.upgrade(event.upgrade)
    if event.gpu is not None:
        return
    if event.release:
        stub.release()
    if event.bogus is not None:
        stub.bogus(**event.bogus)
    _calls(event, stub)


def _calls(event: Event, on: Stub | StubGpu) -> None:
    if event.hang is not None:
        on.hang(event.hang.call, seconds=event.hang.seconds)
    if event.slow is not None:
        on.slow(event.slow.call, milliseconds=event.slow.milliseconds)
    if event.returns is not None:
        on.returns(event.returns.call, event.returns.code)


def _to_gpu(event: Event, gpu: StubGpu) -> None:
    if event.release:
        gpu.release()
    if event.load is not None:
        gpu.load(event.load)
    if event.mig is not None:
        gpu.mig(event.mig)
    if event.set is not None:
        gpu.set(**event.set)
    if event.link is not None:
        gpu.link(event.link.link, **event.link.set)
    if event.instance is not None:
        gpu.instance(event.instance.index, **event.instance.set)
    if event.processes is not None:
        _run_processes(event.processes, gpu)
    if event.bogus is not None:
        gpu.bogus(**event.bogus)
    _calls(event, gpu)
    xid = event.xid_told
    if xid is not None and xid.only != "kmsg":
        gpu.xid(xid.code)
    if event.event is not None:
        gpu.event(event.event)
    if event.state is not None:
        {"up": gpu.restore, "lost": gpu.lose, "reset_required": gpu.need_reset, "gone": gpu.vanish}[
            event.state
        ]()


def _run_processes(processes: list[RunningProcess], gpu: StubGpu) -> None:
    """Instead of all that ran."""
    gpu.clear_processes()
    groups: dict[tuple[str, int | None, str], list[tuple[int, int]]] = {}
    for one in processes:
        groups.setdefault((one.kind, one.mig, one.name), []).append((one.pid, one.memory))
    for (kind, mig, name), members in groups.items():
        gpu.processes(members, kind=kind, mig=mig, name=name, keep=True)
