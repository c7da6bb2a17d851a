"""The driver as a whole: open it, count its GPUs, open it anew when it was replaced or stays broken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agent.gpu.probe.calls import BrokenLibrary, Calls, NoDriver, text
from agent.gpu.probe.device import DriverGone
from agent.gpu.probe.errors import (
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    sentence,
)
from agent.gpu.probe.lane import Lane
from agent.gpu.protocol import DriverState

_RETRY_ABSENT = 30.0
_RETRY_FAILING = 5.0
_FAILURES = 3
"""So many failing counts in a row, and the driver is opened anew."""


class Driver:
    """Opened and counted in a lane of its own, once a sweep.

    `load` returns the bindings, or raises NoDriver or BrokenLibrary. `leave` lets go of what hangs on the
    open driver before it is closed, and says whether that worked.
    """

    def __init__(self, load: Callable[[], Any], leave: Callable[[], bool]) -> None:
        self.lane: Lane[int] = Lane("driver")
        self.state: DriverState = "waiting"
        self.reason = ""
        self.count = -1
        self.version = self.nvml_version = ""
        self.outdated = False
        """Whether only another process can load the library that fits the driver."""
        self.opened = 0
        """How often it was opened: handles of an earlier time are worth nothing."""
        self.ready = False
        """Whether it is open, so that GPUs can be asked."""
        self.calls: Calls | None = None
        self.nvml: Any = None
        self._load = load
        self._leave = leave
        self._retry_at = float("-inf")
        self._failures = 0
        self._anew = False

    @property
    def call(self) -> str:
        """The call that was begun last."""
        return "" if self.calls is None else self.calls.under_way

    def begin(self, now: float, quiet: bool) -> bool:
        """Ask it, unless an earlier call is not back or it is too early to try again.

        It is opened anew only while the GPUs are `quiet`: shutting it down under a call is not safe.
        """
        if self.lane.busy or (not self.ready and now < self._retry_at):
            return False
        anew = self._anew and quiet
        if anew:
            self.ready = self._anew = False
        self.lane.begin(lambda: self._work(anew), now)
        return True

    def open_anew(self) -> None:
        """The GPUs say that it is gone, or they have been for long: close it and open it again."""
        self._anew = True

    def take(self, now: float) -> bool:
        """Note what the last call said, now that it is back; whether the list of GPUs is another."""
        error, before = self.lane.error, (self.opened, self.count)
        if error is None:
            assert self.lane.result is not None
            self.state, self.reason, self._failures = "ready", "", 0
            self.opened += not self.ready
            self.ready = True
            self.count = self.lane.result
        else:
            self._failed(error, now)
        return (self.opened, self.count) != before

    def gone(self, code: int, now: float) -> None:
        """A GPU was asked and the answer was that there is no driver any more."""
        self._failed(DriverGone(code), now)

    def close(self) -> None:
        """In the lane: let go of it."""
        if self.ready and self._leave() and self.calls is not None:
            self.calls.nvmlShutdown()

    def _work(self, anew: bool) -> int:
        """In the lane: open it if it is not open, and count the GPUs."""
        if self.calls is None:
            self.nvml = self._load()
            self.calls = Calls(self.nvml)
        calls = self.calls
        if anew:
            self._shut(calls)
        if not self.ready:
            calls.nvmlInit()
            self.version = text(calls.nvmlSystemGetDriverVersion())
            self.nvml_version = self._nvml_version(calls)
        return int(calls.nvmlDeviceGetCount())

    def _shut(self, calls: Calls) -> None:
        self._leave()
        with suppress(calls.NVMLError):  # it is what we want to be rid of
            calls.nvmlShutdown()

    @staticmethod
    def _nvml_version(calls: Calls) -> str:
        try:
            return text(calls.nvmlSystemGetNVMLVersion())
        except calls.NVMLError:
            return ""

    def _failed(self, error: BaseException, now: float) -> None:
        code = self._code(error)
        first = self.opened == 0
        if isinstance(error, NoDriver) or code in (DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND):
            self._absent(str(error) if code is None else sentence(code), now)
            return
        self.state, self.count = "failing", -1
        self.reason = self._reason(error, code)
        self._failures += 1
        if code == LIB_RM_VERSION_MISMATCH:
            # At the start another process fares no better; but the right library may be there in a while.
            self.outdated = not first or self._failures > 1
            self._retry_at = now + _RETRY_ABSENT
            self.ready = False
        elif not self.ready:
            self._retry_at = now + _RETRY_FAILING
        elif self._failures >= _FAILURES or isinstance(error, DriverGone):
            self._anew = True

    def _absent(self, reason: str, now: float) -> None:
        self.state, self.reason, self.count = "absent", reason, 0
        self._retry_at = now + _RETRY_ABSENT
        self._failures = 0
        self._anew = self.ready or self._anew
        self.ready = False

    def _code(self, error: BaseException) -> int | None:
        if isinstance(error, DriverGone):
            return error.code
        if self.nvml is not None and isinstance(error, self.nvml.NVMLError):
            return int(error.value)
        return None

    def _reason(self, error: BaseException, code: int | None) -> str:
        if isinstance(error, BrokenLibrary):
            return str(error)
        if code == FUNCTION_NOT_FOUND and not self.ready:
            return f"libnvidia-ml.so.1 is no NVML: {self.call} is not in it; reinstall the driver"
        if code is None:
            return f"{type(error).__name__}: {error}"
        return f"{self.call}: {sentence(code)}" if not isinstance(error, DriverGone) else sentence(code)
