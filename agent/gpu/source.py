"""The GPUs as a source of readings: what the probe says, named and told on; what changes leaves at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from agent.event import Ahead, Emit, Event
from agent.gpu import clock_events, pci, process, status, xids
from agent.gpu.client import Condition
from agent.gpu.clock_events import ClockEvents
from agent.gpu.labels import Spelling, own
from agent.gpu.pci import PciBus
from agent.gpu.presence import Change, Device, LastSeen, Presence, trusted
from agent.gpu.protocol import DeviceReport, Identity, Process, Sweep
from agent.gpu.series import Block, Sheet
from agent.gpu.xids import XidHistory
from agent.host import labelled
from agent.pods.owner import Owner, Owners
from agent.reading import Naming, Reading
from agent.settings import AgentSettings
from agent.worker import DeadlinePassed, StillBusy, Worker
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

OWN_METRICS = (
    *status.METRICS,
    *pci.METRICS,
    *process.METRICS,
    *clock_events.METRICS,
    *xids.METRICS,
)

RECOVERY_ACTION = "fleetowl_gpu_recovery_action"
"""The driver's own verdict on a GPU (NVML field 230)."""

_WINDOW = {"window_size_in_ms": str(clock_events.WINDOW)}
_LOOKS = 2  # after an event, for a GPU may say that it is lost a moment after its XID
_BETWEEN_LOOKS = 0.4  # seconds
_WATCH = 0.7  # seconds between looks where the beat is slower than a second
_SECOND = 1000
_MOST_PATIENCE = 1.0  # seconds beyond the deadline, where the interval leaves room
_WRITING = 2.0  # seconds that the disk has for a file of a few kilobytes, and an agent that ends waits for it


class Probe(Protocol):
    """What answers the source's questions: a ProbeClient, or a test's double."""

    @property
    def restarts(self) -> Mapping[str, int]:
        """Processes begun anew, by reason."""

    @property
    def pid(self) -> int | None:
        """Of the process that lives."""

    @property
    def condition(self) -> Condition:
        """Why there is no answer."""

    async def sweep(self, deadline: float, patience: float, look: bool = False) -> Sweep | None:
        """What is read within `deadline` seconds, or with `look` only whether the GPUs answer.

        None if no answer came within `patience`.
        """

    async def close(self) -> None:
        """Let go of the driver."""


class Companion(Protocol):
    """Somebody with series of his own to make of a sweep: of the processes on the GPUs."""

    def metrics(self) -> Iterable[Metric]:
        """His families."""

    def samples(self, processes: Sequence[tuple[Identity, Sequence[Process]]], at: int) -> Iterable[Sample]:
        """His series, of each device that answered."""


def nobody(uuid: str) -> Sequence[Owner]:
    """The owners of a device where nobody knows them."""
    return ()


class GpuSource:
    """Asks the probe on each beat, and at once when the driver reports something.

    `families` are those that the probe may give; `owners` says which containers have a device; `followers`
    are handed each sweep before anything is told of it. With `remember` it writes down which GPUs there are.
    """

    exported = True

    def __init__(
        self,
        settings: AgentSettings,
        probe: Probe,
        emit: Emit,
        families: Sequence[Metric],
        owners: Owners = nobody,
        history: XidHistory | None = None,
        companions: Sequence[Companion] = (),
        followers: Sequence[Callable[[Sweep], None]] = (),
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        remember: bool = True,
    ) -> None:
        self.interval = settings.interval
        self._node = settings.node
        self._probe = probe
        self._emit = emit
        self._owners = owners
        self._history = history
        self._companions = companions
        self._followers = followers
        self._clock = clock
        self._deadline = min(settings.gpu.deadline, self.interval // 2) / 1000
        self._patience = min(self._deadline + _MOST_PATIENCE, self.interval * 0.8 / 1000)
        self._families = [*families, *OWN_METRICS, *(each for one in companions for each in one.metrics())]
        self._types = {metric.name: metric.type for metric in self._families}
        target = {"job": settings.job, "instance": settings.node, "node": settings.node}
        self._naming = Naming(target)
        self._sheet = Sheet(target)
        self._spelling = Spelling(settings.node, settings.gpu.hostname_label)
        self._bus = PciBus(str(settings.sysfs))
        self._last_seen = LastSeen(settings.gpu.last_seen, settings.node, remember)
        self._presence = Presence(settings.gpu.forget_after, self._last_seen.load(), timer)
        self._missing = status.Missing()
        self._refused = status.Refused()
        self._clocks: dict[str, ClockEvents] = {}
        self._names: dict[str, _Names] = {}
        self._driver = ""
        self._condition = Condition("waiting", "")
        self._asking = asyncio.Lock()
        self._begun = False
        self._looks = 0
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._disk = Worker("gpus-last-seen")
        self._writing: asyncio.Task[None] | None = None
        self._fault = ""

    def metrics(self) -> Iterable[Metric]:
        """The families that its readings may hold."""
        return self._families

    @property
    def devices(self) -> Mapping[str, Device]:
        """All GPUs and MIG instances that are there or are missed, by UUID."""
        return self._presence.devices

    async def read(self, at: int) -> Reading:
        """What the driver says as of `at` (ms), and what is to be said of it."""
        if not self._begun:
            self._begun = True
            if self.interval > _SECOND:
                self._watching = asyncio.create_task(self._watch())
        sweep = await self._observe(at)
        parts: list[tuple[Block, Sequence[float]]] = []
        samples = [*status.driver_samples(self._condition, sweep, self._probe.restarts)]
        slots = self._bus.gpus()
        if slots is not None:
            samples.append(Sample("fleetowl_gpu_pci_devices", labelled(), float(len(slots))))
        if self._probe.pid is not None:
            samples += process.cost_of(self._probe.pid)
        samples += self._refused.samples()
        if sweep is not None:
            for device, report in self._believed(sweep):
                parts += self._values(device, report)
                samples += self._said(device, report, at)
            samples += status.unmet_samples(sweep.get("unmet", []), self._presence.devices.values())
            samples += self._missing.samples()
            samples += self._accompanied(at)
        rest = self._naming.reading(samples, self._types, at)
        exported = rest.exported if rest.exported is not None else rest.series
        parts.append((Block(rest.series, exported), rest.values))
        return self._sheet.reading(parts, self._types, at)

    def look(self) -> None:
        """Something happened: see at once what has become of the GPUs. Not before the first reading."""
        if not self._begun:
            return
        self._looks = _LOOKS
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Let the probe go, and the driver with it."""
        for task in (self._watching, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._probe.close()
        if self._writing is not None:
            await self._writing
        self._disk.close()

    async def _look(self) -> None:
        while self._looks:
            self._looks -= 1
            await self._glance()
            await asyncio.sleep(_BETWEEN_LOOKS)

    async def _watch(self) -> None:
        """A GPU that is lost is told within a second, however slow the beat and without any XID."""
        while True:
            await asyncio.sleep(_WATCH)
            if self._presence.heard:
                await self._glance()

    async def _glance(self) -> None:
        """Between the beats. What goes wrong, said once, costs this look and none of those after it."""
        try:
            await self._observe(int(self._clock() * 1000), look=True)
        # Nobody waits for these looks: whatever it is, it would end them without a word.
        except Exception as error:
            fault, self._fault = self._fault, repr(error)
            if fault != self._fault:
                log.exception("a look at the GPUs failed; it is tried again")
        else:
            self._fault = ""

    async def _observe(self, at: int, look: bool = False) -> Sweep | None:
        """Ask once; take in the answer and send off what has changed."""
        async with self._asking:
            sweep = await self._probe.sweep(self._deadline, self._patience, look)
        self._follow(status.condition_of(sweep, self._probe.condition), at)
        if sweep is None:
            return None
        self._driver = sweep["driver"] or self._driver
        for follow in self._followers:
            follow(sweep)
        for change in self._presence.update(sweep, at):
            self._tell(change, at)
        for report in sweep["devices"]:
            device = self._presence.devices.get(report["uuid"])
            self._refused.hear(report)
            if device is not None:
                self._missing.hear(device, report)
        self._refused.keep(report["uuid"] for report in sweep["devices"])
        self._settle()
        return sweep

    def _settle(self) -> None:
        """Forget what belonged to devices that are forgotten, and have the others remembered."""
        devices = self._presence.devices
        if self._names.keys() - devices.keys():
            self._names = {uuid: names for uuid, names in self._names.items() if uuid in devices}
            self._clocks = {uuid: clocks for uuid, clocks in self._clocks.items() if uuid in devices}
            self._sheet.forget(devices)
        self._missing.keep(devices)
        if not self._disk.busy and (self._writing is None or self._writing.done()):
            data = self._last_seen.due(devices)
            if data is not None:
                self._writing = asyncio.create_task(self._write(data))

    async def _write(self, data: bytes) -> None:
        """In a thread that nobody waits for longer: a disk that hangs must not keep the agent from ending."""
        try:
            await self._disk.call_async(lambda: self._last_seen.write(data), _WRITING)
        except (DeadlinePassed, StillBusy) as error:
            log.warning("which GPUs there are is not written down yet: %s", error)

    def _follow(self, condition: Condition, at: int) -> None:
        """One line in the log for each change of the driver's state, and an event if it hangs."""
        before, self._condition = self._condition, condition
        if condition[:2] == before[:2]:
            return
        text = f"the GPU driver of {self._node} is {condition.state}"
        text += f": {condition.reason}" if condition.reason else ""
        if condition.state != "hung":
            log.log(logging.WARNING if condition.state == "failing" else logging.INFO, "%s", text)
        elif before.state != "hung":
            labels = {"node": self._node, "call": condition.call}
            ahead = self._ahead("fleetowl_probe_hung", {"call": condition.call}, 1.0, at)
            self._emit(Event("probe_hung", labels, 1.0, at, text, (ahead,)))

    def _tell(self, change: Change, at: int) -> None:
        """Send off what has become of a GPU."""
        identity = change.device.identity
        labels = {"node": self._node, **own(identity)}
        gpu = f"GPU {identity['index']} of {self._node} ({identity['uuid']}, {identity['pci_bus_id']})"
        reason = f": {change.reason}" if change.reason else ""
        up = self._names_of(change.device).own
        if change.kind == "lost":
            ahead = self._ahead("fleetowl_gpu_up", up, 0.0, at)
            self._emit(Event("gpu_lost", labels, 1.0, at, f"{gpu} is lost{reason}", (ahead,)))
        elif change.kind == "back":
            ahead = self._ahead("fleetowl_gpu_up", up, 1.0, at)
            self._emit(Event("gpu_back", labels, 1.0, at, f"{gpu} is back", (ahead,)))
        elif change.kind == "hung":
            hung = {**own(identity), "call": change.call}
            ahead = self._ahead("fleetowl_probe_hung", hung, 1.0, at)
            text = f"{gpu}: {change.call or 'a driver call'} does not return"
            self._emit(Event("probe_hung", {**labels, "call": change.call}, 1.0, at, text, (ahead,)))
        else:
            log.info("%s answers again", gpu)

    def _ahead(self, name: str, labels: Mapping[str, str], value: float, at: int) -> Ahead:
        return Ahead(self._sheet.pushed(name, labels), value, at)

    def _believed(self, sweep: Sweep) -> Iterator[tuple[Device, DeviceReport | None]]:
        """Each device that there is something to say of."""
        for uuid, device in self._presence.devices.items():
            report = self._presence.heard.get(uuid)
            if report is not None or (device.state in ("lost", "failing") and trusted(sweep)):
                yield device, report

    def _values(self, device: Device, report: DeviceReport | None) -> Iterator[tuple[Block, Sequence[float]]]:
        """The series that the probe read."""
        if report is None:
            return
        names = self._names_of(device)
        uuid = report["uuid"]
        values, parts = report["values"], report["parts"]
        if values:
            yield self._sheet.values((uuid, ""), names.device, names.own, [*values]), [*values.values()]
        linked = [part for part in parts if "nvlink" in part[1]]
        others = [part for part in parts if "nvlink" not in part[1]]
        if linked:
            shape = [(name, further) for name, further, _ in linked]
            block = self._sheet.parts((uuid, "link"), names.link, names.link, shape)
            yield block, [value for _, _, value in linked]
        if others:
            shape = [(name, further) for name, further, _ in others]
            block = self._sheet.parts((uuid, "part"), names.device, names.own, shape)
            yield block, [value for _, _, value in others]

    def _said(self, device: Device, report: DeviceReport | None, at: int) -> Iterator[Sample]:
        """The series that we make ourselves."""
        names = self._names_of(device)
        yield from status.device_samples(device, report)
        if device.whole:
            up = status.up_of(device)
            if up is not None:
                yield Sample("fleetowl_gpu_up", names.own, up)
            if self._history is not None:
                uuid = device.identity["uuid"]
                yield from xids.samples_of(self._history, uuid, names.device, names.window, at)
        if report is not None:
            yield from self._clock_events(report, names, at)

    def _clock_events(self, report: DeviceReport, names: _Names, at: int) -> Iterator[Sample]:
        values = report["values"]
        mask = next((values[name] for name in clock_events.BITMASKS if name in values), None)
        if mask is None:
            return
        clocks = self._clocks.setdefault(report["uuid"], ClockEvents())
        clocks.add(at, int(mask))
        counts = clocks.counts(at)
        for name, count in counts.items():
            yield Sample(clock_events.FAMILY, names.clock_event(name), float(count))
        if not counts:
            yield Sample(clock_events.FAMILY, names.window, 0.0)

    def _accompanied(self, at: int) -> Iterator[Sample]:
        processes = [
            (self._presence.devices[uuid].identity, report["processes"])
            for uuid, report in self._presence.heard.items()
            if report["state"] == "up" and uuid in self._presence.devices
        ]
        for companion in self._companions:
            yield from companion.samples(processes, at)

    def _names_of(self, device: Device) -> _Names:
        """The labels of a device: the same objects as long as nothing in them changes."""
        identity = device.identity
        uuid, parent = identity["uuid"], self._presence.devices.get(identity["parent"])
        gpu = parent.identity if parent is not None else None
        key = (identity, gpu, self._driver, tuple(self._owners(uuid)))
        known = self._names.get(uuid)
        if known is None or known.key != key:
            known = self._names[uuid] = _Names(self._spelling, *key)
        return known


class _Names:
    """All label sets of one device."""

    def __init__(
        self,
        spelling: Spelling,
        identity: Identity,
        gpu: Identity | None,
        driver: str,
        owners: tuple[Owner, ...],
    ) -> None:
        self.key = (identity, gpu, driver, owners)
        self.own = spelling.own(identity, gpu, driver)
        self.device = spelling.device(identity, gpu, driver, owners)
        self.link = spelling.link(identity, gpu, driver)
        self.window = self.device.merged(_WINDOW)
        self._clock_events: dict[str, Labels] = {}

    def clock_event(self, name: str) -> Labels:
        """The labels of the count of a clock event."""
        known = self._clock_events.get(name)
        if known is None:
            known = self._clock_events[name] = self.window.merged({"clock_event": name})
        return known
