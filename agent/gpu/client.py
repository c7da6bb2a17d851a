"""The agent's end of the probe: keeps one alive, asks it, and says what is wrong when it does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from agent.gpu.child import Child, environment_for_python, python_module, still_lingering, words_of
from agent.gpu.hold import Hold
from agent.gpu.protocol import (
    OUTDATED,
    DriverState,
    Message,
    Occurrence,
    Request,
    Sweep,
    decode_message,
    encode,
)
from agent.gpu.settings import GpuSettings

log = logging.getLogger("fleetowl.agent")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LASTING = 5.0  # seconds; a probe that lived so long found a driver that worked
_SILENCE = 30.0  # seconds without an answer after which a probe is told to end
_FAREWELL = 1.0  # seconds for a probe to let go of the driver
_NUDGE = 0.2  # seconds after SIGTERM; an agent that ends waits no longer

State = DriverState | Literal["released"]


class Condition(NamedTuple):
    """How the way to the driver is, where the probe cannot say it. The reason stays while the state does."""

    state: State
    reason: str
    call: str = ""
    seconds: float = 0.0
    """For how long a call has not returned."""


Kind = Literal["released", "mismatch", "silent", "signal", "failure", "exit"]


class Ending(NamedTuple):
    """What a probe ended of: in a word, and for people."""

    kind: Kind
    reason: str


class ProbeClient:
    """Runs the probe and asks it; at most one lives at a time, for each may hold a call that hangs.

    `heard` is told what the driver reports by itself, as it comes. `timer` gives seconds that never run
    backwards.
    """

    def __init__(
        self,
        command: Sequence[str],
        settings: GpuSettings,
        heard: Callable[[Occurrence], None],
        hold: Hold,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._settings = settings
        self._heard = heard
        self._hold = hold
        self._timer = timer
        self._sleep = sleep
        self._keeper: asyncio.Task[None] | None = None
        self._child: Child | None = None
        self._number = 0
        self._answer: asyncio.Future[Sweep | None] | None = None
        self._asked_at: float | None = None  # the oldest question without an answer
        self._failures = 0
        self._babbled = False
        self._down = Condition("waiting", "the probe starts")
        self.restarts: Counter[str] = Counter()
        """Probes begun after the first, by why the one before ended."""

    @property
    def pid(self) -> int | None:
        """Of the probe that lives."""
        return self._child.pid if self._child is not None else None

    @property
    def condition(self) -> Condition:
        """Why there is no answer."""
        child = self._child
        if child is None:
            nobody = self._hold.held and self._down.state != "hung"
            return Condition("released", "let go of by a signal") if nobody else self._down
        if self._hold.held:
            return self._down
        silent = self._timer() - self._asked_at if self._asked_at is not None else 0.0
        if child.told_to_end:
            reason = f"the probe (process {child.pid}) was told to end and has not: it is in a driver call"
            return Condition("hung", reason, "probe", silent)
        if silent * 1000 < self._settings.hung_after:
            return Condition("waiting", "the probe has not answered yet", "probe", silent)
        return Condition("hung", "the probe does not answer", "probe", silent)

    async def sweep(self, deadline: float, patience: float, look: bool = False) -> Sweep | None:
        """What the probe reads within `deadline` seconds; None if no answer came within `patience`.

        A `look` reads nothing but whether each GPU answers. `condition` says why there is no answer. A
        question that is not answered is the last one until it is: its answer, once it comes, is too late.
        """
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        child = self._child
        if child is None or self._hold.held:
            return None
        if self._asked_at is not None:
            self._give_up_on(child)
            return None
        self._number += 1
        request = Request(do="look" if look else "sweep", number=self._number, deadline=deadline)
        self._asked_at = self._timer()
        answer: asyncio.Future[Sweep | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        child.send(encode(request))
        await asyncio.wait({answer}, timeout=patience)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def close(self) -> None:
        """Let the probe release the driver and end; a second at most."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    def _give_up_on(self, child: Child) -> None:
        """End a probe that has been silent for long; another is started when it is gone."""
        assert self._asked_at is not None
        if self._timer() - self._asked_at >= _SILENCE and not child.told_to_end:
            log.warning("the GPU probe (process %d) says nothing for %g s; ending it", child.pid, _SILENCE)
            child.terminate()

    async def _keep(self) -> None:
        """Start a probe whenever there is none and there may be one."""
        while True:
            await self._until_free()
            await self._until_alone()
            began = self._timer()
            try:
                ending = await self._live()
            # Nobody waits for this task: whatever it is, no probe would be started ever again.
            except Exception as error:
                log.exception("the GPU probe was given up")
                ending = Ending("failure", repr(error))
            self._forget()
            if ending.kind == "released":
                continue
            pause = self._pause(ending.kind, self._timer() - began)
            self._down = Condition("failing", f"the probe ended: {ending.reason}")
            log.warning("the GPU probe ended: %s; starting another in %g s", ending.reason, pause)
            await self._sleep(pause)
            self.restarts[ending.kind] += 1

    async def _until_free(self) -> None:
        if not self._hold.held:
            return
        self._down = Condition("released", "let go of by a signal")
        log.warning("the driver is let go of; SIGUSR2 takes it again")
        try:
            await asyncio.wait_for(self._hold.free(), self._settings.resume_after / 1000 or None)
        except TimeoutError:
            log.warning("nobody has sent SIGUSR2; taking the driver again")
            self._hold.resume()
        self._down = Condition("waiting", "the probe starts")
        self._failures = 0

    async def _until_alone(self) -> None:
        said = False
        while pids := still_lingering():
            reason = f"an earlier probe (process {pids[0]}) is in a driver call; none is started beside it"
            self._down = Condition("hung", reason, "probe")
            if not said:
                log.warning("%s", reason)
                said = True
            await self._sleep(1.0)

    async def _live(self) -> Ending:
        """One life of a probe, from its start until it is gone."""
        environment = self._environment or environment_for_python()
        try:
            child = await Child.start(self._command, environment, self._message)
        except OSError as error:
            return Ending("failure", f"it cannot be started: {error}")
        self._child = child
        ended = asyncio.create_task(child.ended())
        held = asyncio.create_task(self._hold.taken())
        try:
            await asyncio.wait({ended, held}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._part(child, ended)
                await asyncio.wait({ended})
                return Ending("released", "")
            return _ending(ended.result(), child)
        except asyncio.CancelledError:
            await self._part(child, ended)
            await asyncio.wait({ended}, timeout=_NUDGE)
            raise
        finally:
            held.cancel()
            ended.cancel()
            await asyncio.gather(held, ended, return_exceptions=True)
            child.leave()

    async def _part(self, child: Child, ended: asyncio.Task[int]) -> None:
        """Let it release the driver, and tell it to end if it does not within a second."""
        self._down = Condition("waiting", "the driver is being let go of")
        child.send(encode(Request(do="release", number=0, deadline=_FAREWELL)))
        done, _ = await asyncio.wait({ended}, timeout=_FAREWELL)
        if not done:
            reason = f"the probe (process {child.pid}) is in a driver call and cannot let go"
            self._down = Condition("hung", reason, "probe")
            log.warning("%s; it does when the call returns", reason)
            child.terminate()

    def _forget(self) -> None:
        self._child = None
        self._asked_at = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _pause(self, kind: str, lived: float) -> float:
        """None after an upgrade beneath a probe that worked; else longer and longer, in seconds."""
        if lived >= _LASTING:
            self._failures = 0
            if kind == "mismatch":
                return 0.0
        self._failures += 1
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))

    def _message(self, line: bytes) -> None:
        try:
            message = decode_message(line)
        except ValueError:
            if not self._babbled:
                log.warning("the GPU probe said what is no message: %r", line[:80])
            self._babbled = True
            return
        self._take(message)

    def _take(self, message: Message) -> None:
        if message["say"] == "event":
            self._heard(message)
        elif message["say"] == "released":
            if message["reason"]:
                log.warning("the GPU probe left something behind: %s", message["reason"])
        elif message["number"] == self._number:
            self._asked_at = None
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)


def _ending(status: int, child: Child) -> Ending:
    kind: Kind = "signal" if status < 0 else "failure" if status else "exit"
    if child.told_to_end:
        kind = "silent"
    elif status == OUTDATED:
        kind = "mismatch"
    return Ending(kind, words_of(status, child.last_words))


def probe_command(settings: GpuSettings) -> list[str]:
    """The command that runs the probe."""
    arguments = ["--hung-after", f"{settings.hung_after / 1000:g}"]
    arguments += ["--slow-interval", f"{settings.slow_interval / 1000:g}"]
    if not settings.processes:
        arguments.append("--no-processes")
    return python_module("agent.gpu.probe", *arguments)
