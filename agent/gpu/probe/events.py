"""The driver's own reports: an XID, a GPU that became unavailable, another recovery action."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agent.gpu.probe.calls import Calls, address
from agent.gpu.probe.errors import NOT_SUPPORTED, TIMEOUT, sentence
from agent.gpu.protocol import Occurrence

_XID, _UNAVAILABLE, _RECOVERY = 0x8, 0x4000, 0x8000
_WANTED = _XID | _UNAVAILABLE | _RECOVERY
_WAIT_MS = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_MANY = 20
_WHOLE_GPU = 0xFFFFFFFF


class Events:
    """A thread that waits for them and says them at once.

    GPUs are registered by their own lanes, each after it has answered: a GPU that hangs must not keep the
    others' events from being heard. A lost GPU makes every wait fail, so after an error there is a new set,
    in which only those register that still answer.
    """

    def __init__(
        self, say: Callable[[Occurrence], None], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._say = say
        self._calls: Calls | None = None
        self._thread: threading.Thread | None = None
        self._pause = pause
        self._open, self._idle, self._joined = threading.Event(), threading.Event(), threading.Event()
        self._idle.set()
        self._set: Any = None
        self._reason = ""
        self._refused: dict[str, str] = {}
        self._heard: dict[int, str] = {}
        self._epoch = 0
        self._registered: dict[str, tuple[int, int]] = {}
        """With which set, and by which handle."""
        self._registering: set[str] = set()

    def start(self, nvml: Any) -> None:
        """Wait for events of the driver, which is open."""
        if self._calls is None:
            self._calls = Calls(nvml)
        self._open.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()

    def leave(self, seconds: float) -> bool:
        """Give the set back; False if the driver has not returned from the wait within these seconds."""
        self._open.clear()
        self._joined.set()
        return self._idle.wait(seconds)

    @property
    def reason(self) -> str:
        """Why not all events are heard, empty if they are."""
        refused = list(self._refused.items())
        if self._reason or not refused:
            return self._reason
        return f"{refused[0][0]}: {refused[0][1]}" + (f", and {len(refused) - 1} more" * (len(refused) > 1))

    def register(self, calls: Calls, handle: Any, uuid: str) -> None:
        """In the lane of a GPU that has just answered: hear its events from now on."""
        where = (self._epoch, address(handle))
        if self._registered.get(uuid) == where:
            return
        self._registering.add(uuid)  # from here on the set is not freed
        try:
            current = self._set
            if current is not None:
                self._registered[uuid] = where
                self._register(calls, handle, uuid, current)
        finally:
            self._registering.discard(uuid)

    def _register(self, calls: Calls, handle: Any, uuid: str, current: Any) -> None:
        try:
            types = int(calls.nvmlDeviceGetSupportedEventTypes(handle)) & _WANTED
            if types:
                calls.nvmlDeviceRegisterEvents(handle, types, current)
        except calls.NVMLError as error:
            self._refused[uuid] = sentence(error.value)
            return
        if not types:
            self._refused[uuid] = sentence(NOT_SUPPORTED)
            return
        self._refused.pop(uuid, None)
        self._heard[address(handle)] = uuid
        self._joined.set()

    def _run(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            self._open.wait()
            self._idle.clear()
            waits = self._listen()
            self._idle.set()
            if self._open.is_set():  # it failed
                pause = _SHORTEST_PAUSE if waits > _MANY else min(2 * pause, _LONGEST_PAUSE)
                self._pause(pause)

    def _listen(self) -> int:
        """Hear one set until it fails or is to be given back; how many waits went well."""
        calls = self._calls
        assert calls is not None
        waits = 0
        try:
            self._renew(calls.nvmlEventSetCreate())
            while self._open.is_set():
                # Nobody says what waiting for nothing does.
                if self._joined.wait(_WAIT_MS / 1000) and self._open.is_set():
                    self._wait(calls)
                    waits += 1
        except calls.NVMLError as error:
            self._reason = f"{calls.under_way}: {sentence(error.value)}"
        self._free(calls)
        return waits

    def _renew(self, event_set: Any) -> None:
        self._heard.clear()
        self._refused.clear()
        self._joined.clear()
        self._epoch += 1
        self._set = event_set

    def _wait(self, calls: Calls) -> None:
        try:
            data = calls.nvmlEventSetWait_v2(self._set, _WAIT_MS)
        except calls.NVMLError as error:
            if error.value != TIMEOUT:
                raise
        else:
            self._say(self._occurrence(calls, data))
        self._reason = ""

    def _free(self, calls: Calls) -> None:
        event_set, self._set = self._set, None
        if event_set is None or self._registering:
            return  # better a leak than a set that is freed under a call
        with suppress(calls.NVMLError):  # there is nothing more to do about it
            calls.nvmlEventSetFree(event_set)

    def _occurrence(self, calls: Calls, data: Any) -> Occurrence:
        uuid = self._heard.get(address(data.device), "")
        occurrence: Occurrence = {
            "say": "event",
            "kind": "other",
            "uuid": uuid,
            "code": int(data.eventType),
            "gpu_instance": _instance(data.gpuInstanceId),
            "compute_instance": _instance(data.computeInstanceId),
        }
        if data.eventType == _XID:
            occurrence["kind"], occurrence["code"] = "xid", int(data.eventData)
        elif data.eventType == _UNAVAILABLE:
            occurrence["kind"], occurrence["code"] = "unavailable", int(data.eventData)
        elif data.eventType == _RECOVERY:
            occurrence["kind"], occurrence["code"] = "recovery", int(data.eventData)
        return occurrence


def _instance(number: int) -> int:
    return -1 if number == _WHOLE_GPU else int(number)
