"""One sweep over the driver and its GPUs, within a deadline, whatever hangs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.gpu.probe.calls import load
from agent.gpu.probe.device import Device, DriverGone
from agent.gpu.probe.driver import Driver
from agent.gpu.probe.events import Events
from agent.gpu.probe.readers import READERS, processes
from agent.gpu.probe.slot import Slot
from agent.gpu.protocol import DeviceReport, DeviceState, Identity, Occurrence, Request, Sweep

_GRACE = 0.02
"""Seconds that a GPU has the interpreter for itself. Threads that all come out of short calls at once fight
over it, so GPUs are asked one after the other while they are quick; one that is not is overtaken."""
_PATIENCE, _MOST_PATIENCE = 30.0, 600.0
"""Seconds that a GPU may be lost before the driver is opened anew; twice as many each time."""
_HASTE = 6
"""So much sooner if all are lost: then there is nothing to lose."""
_LEAVE = 1.0


class Options(NamedTuple):
    """What the probe was started with; times in seconds."""

    hung_after: float = 5.0
    slow_interval: float = 30.0
    processes: bool = True


class Probe:
    """All that is known of the driver. `load` returns NVML's bindings, `clock` seconds that only go up."""

    def __init__(
        self,
        options: Options,
        say: Callable[[Occurrence], None],
        load: Callable[[], Any] = load,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._clock = clock
        self._events = Events(say)
        self._driver = Driver(load, lambda: self._events.leave(_LEAVE))
        self._slots: list[Slot] = []
        self._stuck: list[Slot] = []
        """Those that were in a call already when the sweep began."""
        self._stale: bool | None = None
        """Whether the list of GPUs changed since they were arranged; true if the driver was opened anew."""
        self._known: dict[str, Device] = {}
        self._said: dict[str, tuple[Identity, dict[str, str]]] = {}
        self._patience = _PATIENCE
        self._ill_since: float | None = None
        self._looking = False
        self._gone = ""
        """Why the driver as a whole went away under a GPU in this sweep, empty if it did not."""
        asked = tuple(r for r in READERS if options.processes or r not in processes.READERS)
        self._readers = (asked, tuple(reader for reader in asked if reader.instances))

    @property
    def outdated(self) -> bool:
        """Whether only a new process can talk to the driver."""
        return self._driver.outdated

    def sweep(self, request: Request) -> Sweep:
        """Ask whoever can be asked, and say what is known when the deadline comes."""
        begun_at = self._clock()
        self._looking = request["do"] == "look"
        self._gone = ""
        until = begun_at + request["deadline"]
        driver = self._driver
        if driver.lane.busy and driver.lane.wait(0):
            self._counted()  # late, but how else would a slow start come to an end?
        asked = driver.begin(begun_at, not self._busy())
        if asked and driver.lane.wait(_GRACE if self._slots and driver.ready else until - self._clock()):
            self._counted()
        fresh = self._ask_gpus(until) if driver.ready else {}
        if asked and driver.lane.busy and driver.lane.wait(until - self._clock()):
            self._counted()
        sweep = self._compose(request["number"], fresh)
        self._reconsider(sweep)
        return sweep

    def release(self, seconds: float = 1.0) -> str:
        """Let go of the driver within about this time; what had to be left behind, empty if nothing."""
        until = self._clock() + seconds
        self._events.leave(0)  # its thread takes a moment to hear of it
        for slot in self._slots:
            slot.lane.wait(until - self._clock())
        stuck = [slot.calls.under_way for slot in self._slots if slot.lane.busy]
        lane = self._driver.lane
        if lane.wait(until - self._clock()):
            lane.begin(self._shut, self._clock())
            lane.wait(max(seconds / 4, until - self._clock()))
        if lane.busy:
            stuck.append(self._driver.call)
        for slot in self._slots:
            slot.lane.close()
        lane.close()
        return f"calls that have not returned: {', '.join(stuck)}" if stuck else ""

    def _shut(self) -> int:
        self._driver.close()
        return 0

    def _busy(self) -> bool:
        self._stuck = [slot for slot in self._slots if not slot.lane.wait(0)]
        return bool(self._stuck)

    def _counted(self) -> None:
        """The driver has answered."""
        driver = self._driver
        opened = driver.opened
        changed = driver.take(self._clock())
        if not changed or not driver.ready or driver.count < 0:
            return
        if driver.opened != opened:
            self._events.start(driver.nvml)
        self._stale = bool(self._stale) or driver.opened != opened

    def _arrange(self, count: int, opened: bool) -> None:
        """One slot an index, each to find out anew who is there."""
        old, self._slots = self._slots, []
        for index in range(max(count, len(old))):
            slot = old[index] if index < len(old) else self._slot(index)
            if index < count:
                slot.renew(opened)
                self._slots.append(slot)
            else:
                slot.lane.close()

    def _slot(self, index: int) -> Slot:
        heard, blocked = self._events.register, self._blocked
        return Slot(index, self._driver.nvml, self._known, self._readers, heard, blocked)

    def _blocked(self, uuid: str) -> bool:
        """Whether a thread is still in an earlier call to this GPU."""
        return any(slot.device is not None and slot.device.uuid == uuid for slot in self._stuck)

    def _ask_gpus(self, until: float) -> dict[str, DeviceReport]:
        """What those say that answer in time.

        While one hangs nobody knows which index is its now, and each call to it would hang too. So the slots
        stay as they are until it answers, and the others are asked by the handles that they have.
        """
        if not self._busy() and self._stale is not None:
            self._arrange(self._driver.count, self._stale)
            self._stale = None
        overtaken = (self._clock() + until) / 2  # from then on all are asked at once
        begun = [slot for slot in self._slots if self._begin(slot, overtaken)]
        fresh: dict[str, DeviceReport] = {}
        for slot in begun:
            if slot.lane.wait(until - self._clock()):
                fresh.update((report["uuid"], report) for report in self._taken(slot))
        return fresh

    def _begin(self, slot: Slot, overtaken: float) -> bool:
        if not slot.lane.wait(0):
            return False
        now = self._clock()
        slow = None if self._looking else slot.due(now)
        if slow:
            self._next_turn(slot, now)
        listed = self._stale is None
        slot.lane.begin(lambda: slot.ask(now, slow, listed), now)
        slot.lane.wait(min(_GRACE, overtaken - now))
        return True

    def _next_turn(self, slot: Slot, now: float) -> None:
        """The first is for all at once; then each GPU has its own share of the interval."""
        interval = self._options.slow_interval
        phase = interval * slot.index / len(self._slots)
        slot.turn = now + interval - (now - phase) % interval

    def _taken(self, slot: Slot) -> list[DeviceReport]:
        error = slot.lane.error
        if error is None:
            return slot.lane.result or []
        if isinstance(error, DriverGone):
            self._driver.gone(error.code, self._clock())
            self._gone = str(error)
            return []
        traceback.print_exception(error)
        slot.renew()
        slot.trouble, slot.gone = f"GPU {slot.index}: {type(error).__name__}: {error}", False
        return [each.report("failing", slot.trouble) for each in slot.devices]

    def _reconsider(self, sweep: Sweep) -> None:
        """A GPU that is lost may be back after a reset; some drivers show that only when opened anew."""
        instances = {device.uuid for device in list(self._known.values()) if device.identity["parent"]}
        states = [report["state"] for report in sweep["devices"] if report["uuid"] not in instances]
        ill = sum(state in ("lost", "failing") for state in states)
        now = self._clock()
        if not self._driver.ready:
            return
        if not ill:
            self._patience, self._ill_since = _PATIENCE, None
        elif self._ill_since is None:
            self._ill_since = now
        elif now - self._ill_since >= self._patience / (_HASTE if ill == len(states) else 1):
            self._ill_since, self._patience = now, min(2 * self._patience, _MOST_PATIENCE)
            self._driver.open_anew()

    def _compose(self, number: int, fresh: dict[str, DeviceReport]) -> Sweep:
        driver = self._driver
        now = self._clock()
        sweep: Sweep = {
            "say": "sweep",
            "number": number,
            "state": driver.state,
            "reason": driver.reason,
            "call": "",
            "seconds": 0.0,
            "driver": driver.version,
            "nvml": driver.nvml_version,
            "count": driver.count,
            "identities": [],
            "devices": [],
            "events": self._events.reason if driver.ready else "",
        }
        if driver.state == "ready":
            self._say_who_is_unknown(sweep, now)
        if driver.lane.busy:
            self._hangs(sweep, driver.call, now - driver.lane.since)
        for device in sorted(self._known.values(), key=_order):
            report = fresh.get(device.uuid) or self._without_answer(device, now)
            if report["state"] in ("lost", "failing") and self._left_midway(fresh):
                report = device.report("waiting", self._gone or driver.reason)
            self._add_news(sweep, device, report)
            sweep["devices"].append(report)
        # What was taken away is forgotten at the other end too, so it is said anew if it comes again.
        for uuid in self._said.keys() - {report["uuid"] for report in sweep["devices"]}:
            del self._said[uuid]
        return sweep

    def _say_who_is_unknown(self, sweep: Sweep, now: float) -> None:
        for slot in self._slots:
            if slot.lane.busy and slot.device is None:
                self._hangs(sweep, slot.calls.under_way, now - slot.lane.since)
                sweep["reason"] = f"GPU {slot.index} has not said who it is: {sweep['call']} has not returned"
                return
            if slot.trouble and slot.device is None:
                sweep["reason"] = slot.trouble
                if all(each.device is None for each in self._slots):
                    sweep["state"] = "failing"  # nobody says who he is: the driver is at fault
                state: DeviceState = "lost" if slot.gone else "failing"
                unmet = sweep.setdefault("unmet", [])
                unmet.append({"index": slot.index, "state": state, "reason": slot.trouble})

    def _hangs(self, sweep: Sweep, call: str, seconds: float) -> None:
        sweep["state"] = "hung" if seconds >= self._options.hung_after else "waiting"
        sweep["reason"] = f"{call or 'the driver'} has not returned"
        sweep["call"], sweep["seconds"] = call, round(seconds, 3)

    def _without_answer(self, device: Device, now: float) -> DeviceReport:
        slot = self._slot_of(device)
        if slot is not None and slot.lane.busy:
            return self._hanging(device, slot.calls.under_way, now - slot.lane.since)
        driver = self._driver
        if driver.state == "absent":
            return device.report("lost", driver.reason)
        if slot is None and driver.ready and driver.count >= 0:
            return device.report("lost", self._no_longer_listed(device))
        if driver.lane.busy:
            return self._hanging(device, driver.call, now - driver.lane.since)
        if driver.state == "failing":
            return device.report("failing", driver.reason)
        return device.report("waiting", "not asked yet")

    def _left_midway(self, fresh: dict[str, DeviceReport]) -> bool:
        """Whether the driver went away in this sweep: who was asked late is as well as who was early."""
        return bool(self._gone) or (bool(fresh) and not self._driver.ready)

    def _hanging(self, device: Device, call: str, seconds: float) -> DeviceReport:
        state: DeviceState = "hung" if seconds >= self._options.hung_after else "waiting"
        return device.report(state, f"{call or 'the driver'} has not returned", call, seconds)

    def _no_longer_listed(self, device: Device) -> str:
        gpus = sum(not each.identity["parent"] for each in list(self._known.values()))
        before = f" (before: {device.reason})" if device.reason else ""
        return f"no longer listed by the driver: {self._driver.count} of {gpus}{before}"

    def _slot_of(self, device: Device) -> Slot | None:
        return next((slot for slot in self._slots if device in slot.devices), None)

    def _add_news(self, sweep: Sweep, device: Device, report: DeviceReport) -> None:
        """Say what changed since it was last said."""
        identity, missing = device.identity, device.missing
        said = self._said.get(device.uuid)
        if said is None or said[0] != identity:
            sweep["identities"].append(identity)
        if (said[1] if said else {}) is not missing and (said is not None or missing):
            report["missing"] = missing
        self._said[device.uuid] = (identity, missing)


def _order(device: Device) -> tuple[int, bool, int, int]:
    """GPUs in the driver's order, each before its instances."""
    identity = device.identity
    return (
        identity["index"],
        bool(identity["parent"]),
        identity["gpu_instance"],
        identity["compute_instance"],
    )
