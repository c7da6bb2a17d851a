"""A GPU or MIG instance: asks it what is due, and makes a report of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.gpu.probe.errors import DRIVER_WIDE, GONE, LACKING, RESET_REQUIRED, sentence
from agent.gpu.probe.hygiene import Customs
from agent.gpu.probe.readers import FAMILIES
from agent.gpu.probe.readers.processes import KEY as PROCESSES
from agent.gpu.probe.target import Part, Reader, Target
from agent.gpu.protocol import DeviceReport, DeviceState, Identity

_CUSTOMS = Customs(FAMILIES)


class DriverGone(Exception):
    """The driver as a whole is gone or was replaced; `code` is NVML's."""

    def __init__(self, code: int) -> None:
        super().__init__(sentence(code))
        self.code = code


class _DeviceGone(Exception):
    """The device answers nothing more."""

    def __init__(self, state: DeviceState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class Device:
    """One device under its UUID. While its thread asks it, nobody else touches it."""

    def __init__(self, identity: Identity, target: Target, readers: Sequence[Reader]) -> None:
        self.identity = identity
        self.state: DeviceState = "up"
        self.reason = ""
        self.missing: dict[str, str] = {}
        """Families that it does not give; another object when it changed."""
        self.refused: dict[str, int] = {}
        self.target = target
        self._readers = readers
        self.found(identity, target)

    @property
    def uuid(self) -> str:
        """Of its identity."""
        return self.identity["uuid"]

    def found(self, identity: Identity, target: Target) -> None:
        """It was found (again): from now on it is asked by this handle, everything anew."""
        self.identity = identity
        self.target.close()
        self.target = target
        self._lacks: set[int] = set()
        self._missing_by: dict[int, Mapping[str, str]] = {}
        self._slow_values: dict[str, float] = {}
        self._slow_parts: list[Part] = []

    def ask(self, now: float, slow: bool) -> DeviceReport:
        """What it says now. Raises DriverGone."""
        self.target.now = now
        values: dict[str, float] = {}
        parts: list[Part] = []
        self.target.processes = []
        try:
            self._round(values, parts, slow)
        except _DeviceGone as gone:
            self.state, self.reason = gone.state, str(gone)
            return self.report(self.state, self.reason)
        self.state, self.reason = "up", ""
        report = self.report("up", "")
        report["values"] = {**values, **self._slow_values}
        report["parts"] = parts + self._slow_parts
        report["processes"] = self.target.processes
        return report

    def look(self) -> DeviceReport:
        """Whether it answers, by the first question alone. Raises DriverGone."""
        try:
            if not self._read(0, self._readers[0], {}, []):
                self.state, self.reason = "up", ""
        except _DeviceGone as gone:
            self.state, self.reason = gone.state, str(gone)
        return self.report(self.state, self.reason)

    def report(self, state: DeviceState, reason: str, call: str = "", seconds: float = 0.0) -> DeviceReport:
        """A report without values."""
        return {
            "uuid": self.uuid,
            "state": state,
            "reason": reason,
            "call": call,
            "seconds": round(seconds, 3),
            "values": {},
            "parts": [],
            "processes": [],
            "refused": dict(self.refused),
        }

    def _round(self, values: dict[str, float], parts: list[Part], slow: bool) -> None:
        if slow:
            self._slow_values, self._slow_parts = {}, []
        trouble = ""
        for index, reader in enumerate(self._readers):
            if reader.slow:
                if slow:
                    failure = self._read(index, reader, self._slow_values, self._slow_parts)
                    trouble = trouble or failure
            elif slow or index not in self._lacks:
                failure = self._read(index, reader, values, parts)
                trouble = trouble or failure
        if trouble and not values and not (slow and self._slow_values):
            raise _DeviceGone("failing", trouble)
        if self._changed:
            self._gather()

    _changed = True

    def _read(self, index: int, reader: Reader, values: dict[str, float], parts: list[Part]) -> str:
        """Ask one question; what went wrong, empty if nothing did or the device just lacks this."""
        target = self.target
        failure = ""
        self._lacks.discard(index)
        try:
            found = reader.read(target)
        # A driver of another time may answer what the bindings cannot digest: one family is lost, no more.
        except Exception as error:
            failure = self._failed(index, error)
            names = [family.name for family in reader.families] or [PROCESSES]
            target.missing, target.parts = dict.fromkeys(names, failure), []
        else:
            _CUSTOMS.passed(found, self.refused, values)
            if target.parts:
                _CUSTOMS.passed_parts(target.parts, self.refused, parts)
                target.parts = []
        if target.missing or index in self._missing_by:
            self._miss(index, target.missing)
            target.missing = {}
        return "" if index in self._lacks else failure

    def _miss(self, index: int, missing: dict[str, str]) -> None:
        if missing != self._missing_by.get(index):
            self._changed = True
            self._missing_by[index] = missing
        if not missing:
            del self._missing_by[index]

    def _failed(self, index: int, error: Exception) -> str:
        if not isinstance(error, self.target.nvml.NVMLError):
            return f"{type(error).__name__}: {error}"
        code = int(error.value)
        if code in DRIVER_WIDE:
            raise DriverGone(code) from error
        if code in GONE:
            raise _DeviceGone("lost", sentence(code)) from error
        if code == RESET_REQUIRED:
            raise _DeviceGone("failing", sentence(code)) from error
        if code in LACKING:
            self._lacks.add(index)  # not asked again before the next slow round
        return sentence(code)

    def _gather(self) -> None:
        self._changed = False
        gathered = {name: reason for missing in self._missing_by.values() for name, reason in missing.items()}
        if gathered != self.missing:
            self.missing = gathered
