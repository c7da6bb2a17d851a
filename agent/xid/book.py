"""The book of XIDs: what each GPU had, how often, when last, what was thought of it; and their series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from agent.xid import record
from agent.xid.catalogue import Catalogue
from agent.xid.devices import Device, Devices
from agent.xid.judgement import RECOVERY, Judgement, judge
from agent.xid.record import Occasion, Record, Verdict, labels_of, verdict_of
from agent.xid.repeats import Repeats
from agent.xid.wall import WallClock
from model.labels import Labels
from model.metric import Metric, Sample

METRICS = (
    Metric(
        "fleetowl_xid_total",
        "counter",
        "XIDs, each counted once whoever told of it; codes of the tiers P0 to P2 begin at 0.",
        ("node", "gpu", "uuid", "xid"),
    ),
    Metric(
        "fleetowl_xid_last_timestamp_seconds",
        "gauge",
        "When an XID last came with this verdict, in unixtime; since the node booted, where the kernel's log "
        "tells. `repeated` is true if so many mean more; `cancelled_by` is the code that ended it.",
        ("node", "gpu", "uuid", "xid", "tier", "class", "action", "repeated", "cancelled_by"),
    ),
    Metric(
        "fleetowl_xid_recovery_action",
        "gauge",
        "The driver's verdict as its last XID 154 said it: 0 none, 1 GPU reset, 2 node reboot, 3 drain "
        "peer-to-peer, 4 drain and reset. fleetowl_gpu_recovery_action is the same from the driver itself.",
        ("node", "gpu", "uuid"),
    ),
)

CONSEQUENCE = 10.0
"""Seconds within which a code that follows others (45) is taken for the consequence of the one before."""

SETTLED = 30.0
"""Seconds after an XID 154 from which the driver's field, read in each sweep, knows of it too."""

_MOST_CODES = 64
_OVERFLOW = 0
"""A GPU has no more codes beyond the catalogue's than these: what a broken log invents goes to the code 0."""


class Entered(NamedTuple):
    """An occurrence as it was entered."""

    judgement: Judgement
    verdict: Verdict
    record: Record
    cause: int
    """The code that it follows, 0 if none."""


class _Said(NamedTuple):
    """What an XID 154 said, and when."""

    action: int
    at: float


class Book:
    """Times are monotonic seconds."""

    def __init__(self, node: str, table: Catalogue, devices: Devices, wall: WallClock) -> None:
        self._node, self._table, self._devices, self._wall = node, table, devices, wall
        self._records: dict[Device, dict[int, Record]] = {}
        self._said: dict[Device, _Said] = {}
        self._asked: dict[Device, int] = {}
        self._repeats = Repeats()
        self._changes = 0
        self._spelled: tuple[object, list[Sample]] = (None, [])

    def enter(self, device: Device, code: int, text: str, now: float, times: int) -> Entered:
        """So many occurrences, now; `text` is empty if only the number is known."""
        code = self._accepted(device, code)
        self._records_of(device, code).add(now, times)
        return self._judge(device, code, text, now)

    def refine(self, device: Device, code: int, text: str, now: float) -> Entered | None:
        """The text of an occurrence that was entered by its number alone. None if that says nothing more."""
        entry = self._table[code]
        if entry.decode is None or not judge(entry, text, self._devices.driver()).decoded:
            return None
        kept = self._records_of(device, self._accepted(device, code))
        blind = verdict_of(judge(entry), False)
        kept.verdicts.pop(blind, None)
        return self._judge(device, code, text, now)

    def remember(self, device: Device, code: int, text: str, at: float) -> None:
        """An occurrence from before the agent began, since the node booted."""
        code = self._accepted(device, code)
        self._records_of(device, code).remember(at)
        self._judge(device, code, text, at)

    def set_recovery(self, device: Device, action: int, now: float) -> None:
        """The driver's own verdict (field 230), which goes before the catalogue."""
        self._changes += self._asked.get(device, 0) != action
        asked, self._asked[device] = self._asked.get(device, 0), action if action in RECOVERY else 0
        said = self._said.get(device)
        if action == 0 and said is not None and said.action and (asked or now - said.at >= SETTLED):
            # A driver that was loaded anew asks for nothing any more, and writes no XID 154 about it.
            self._said[device] = _Said(0, now)
            self._changes += 1

    def recovery(self, device: Device) -> int:
        """What the driver asks for, by its XID 154 or by its field; 0 for nothing."""
        said = self._said.get(device)
        return (said.action if said is not None else 0) or self._asked.get(device, 0)

    def action(self, device: Device, verdict: Verdict) -> str:
        """What is to be done about an occurrence: what the driver asks for, if anything is to be done."""
        asked = self.recovery(device)
        return RECOVERY[asked][1] if asked and verdict.tier != "P3" else verdict.action

    def last(self, device: Device) -> int:
        """The code that came last, 0 if none did."""
        return record.newest(self._records.get(device, {}))

    def recent(self, device: Device, now: float) -> Mapping[int, int]:
        """How often each code came within five minutes."""
        return dict(record.counts(self._records.get(device, {}), now))

    def rename(self, old: Device, new: Device) -> None:
        """What was entered under one name belongs to this GPU."""
        self._changes += 1
        for code, kept in self._records.pop(old, {}).items():
            self._records_of(new, code).merge(kept)
        if old in self._said:
            self._hear(new, self._said.pop(old))
        self._repeats.rename(old, new)

    def devices(self) -> list[Device]:
        """Under what something was entered."""
        return list(self._records)

    def samples(self) -> list[Sample]:
        """Every series. Spelled anew only when something has changed, for there are some hundred."""
        devices = self._devices.all()
        state = self._changes, tuple(devices), self._wall.at(0.0)
        if state != self._spelled[0]:
            for device in devices:
                for code in self._table.counted_from_zero():
                    self._records_of(device, code)
            self._spelled = state, list(self._spell())
        return self._spelled[1]

    def _spell(self) -> Iterator[Sample]:
        for device, records in self._records.items():
            for code, kept in records.items():
                yield self.counter(device, code, kept.count)
                for verdict, occasion in kept.verdicts.items():
                    yield self.time(device, code, verdict, occasion)
        for device, said in self._said.items():
            yield Sample("fleetowl_xid_recovery_action", self.labels(device), float(said.action))

    def counter(self, device: Device, code: int, count: int) -> Sample:
        """The counter of a code."""
        return Sample("fleetowl_xid_total", self.labels(device, {"xid": str(code)}), float(count))

    def time(self, device: Device, code: int, verdict: Verdict, occasion: Occasion) -> Sample:
        """The last time of a verdict."""
        more = labels_of(verdict, occasion, self.action(device, verdict))
        labels = self.labels(device, {"xid": str(code), **more})
        return Sample("fleetowl_xid_last_timestamp_seconds", labels, round(self._wall.at(occasion.at), 3))

    def labels(self, device: Device, more: Mapping[str, str] | None = None) -> Labels:
        """The labels of a GPU's series."""
        return Labels({"node": self._node, "gpu": device.gpu, "uuid": device.uuid, **(more or {})})

    def _judge(self, device: Device, code: int, text: str, at: float) -> Entered:
        entry = self._table[code]
        judgement = judge(entry, text, self._devices.driver())
        self._changes += 1
        self._repeats.add(device, code, judgement.unit, at)
        rule = judgement.repeat
        repeated = rule is not None and self._repeats.meets(rule, device, code, judgement.unit, at)
        verdict = verdict_of(judgement, repeated)
        cause = (judgement.cause or self._before(device, code, at)) if entry.follows else 0
        if cause:
            verdict = verdict._replace(action="ignore")
        kept = self._records_of(device, code)
        kept.hold(verdict, at)
        if judgement.recovery is not None:
            self._hear(device, _Said(judgement.recovery, at))
            kept.cancel(code, at, verdict)
        for cancelled in entry.cancels:
            if cancelled in self._records.get(device, {}):
                self._records[device][cancelled].cancel(code, at)
        return Entered(judgement, verdict, kept, cause)

    def _hear(self, device: Device, said: _Said) -> None:
        # A log that is opened anew tells its history once more, which ends nothing that came since.
        if device not in self._said or said.at >= self._said[device].at:
            self._said[device] = said

    def _before(self, device: Device, code: int, at: float) -> int:
        """The newest other code of the GPU within the last seconds that follows none itself."""
        times = {
            other: at - kept.last
            for other, kept in self._records.get(device, {}).items()
            if other != code and kept.last is not None and not self._table[other].follows
        }
        near = {other: ago for other, ago in times.items() if 0 <= ago <= CONSEQUENCE}
        return min(near, key=lambda other: near[other], default=0)

    def _records_of(self, device: Device, code: int) -> Record:
        return self._records.setdefault(device, {}).setdefault(code, Record())

    def _accepted(self, device: Device, code: int) -> int:
        known = self._records.get(device, {})
        if code in self._table or code in known:
            return code
        strange = sum(1 for each in known if each not in self._table)
        return code if strange < _MOST_CODES else _OVERFLOW
