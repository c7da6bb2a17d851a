"""The probe's process: started, asked, missed, started again, let go of; and never two of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.gpu import child
from agent.gpu.child import environment_for_python, python_module
from agent.gpu.client import ProbeClient
from agent.gpu.hold import Hold
from agent.gpu.protocol import OUTDATED, Occurrence, Sweep
from agent.gpu.settings import GpuSettings

_SCRIPT = Path(__file__).with_name("fake_probe.py")


class Scene:
    """A client of the fake probe, with a clock that a test turns and pauses that it counts."""

    def __init__(self, *faults: str, **settings: Any) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.heard: list[Occurrence] = []
        self.hold = Hold()
        self.client = ProbeClient(
            self.command(*faults),
            GpuSettings.model_validate(settings),
            self.heard.append,
            self.hold,
            timer=lambda: self.now,
            sleep=self._pause,
        )

    @staticmethod
    def command(*faults: str) -> list[str]:
        return [sys.executable, "-S", "-E", str(_SCRIPT), *faults]

    def will(self, *faults: str) -> None:
        """What the next probe does."""
        self.client._command = self.command(*faults)

    def pid(self) -> int | None:
        return self.client.pid

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)

    async def paused(self, times: int) -> None:
        """Wait until it has failed so often."""
        for _ in range(1000):
            if len(self.pauses) >= times:
                return
            await self.client.sweep(0.01, 0.01)
            await asyncio.sleep(0.005)
        raise TimeoutError

    async def sweep(self) -> Sweep | None:
        return await self.client.sweep(0.1, 1.0)

    async def answered(self) -> Sweep:
        """The next sweep that is answered."""
        for _ in range(1000):
            found = await self.sweep()
            if found is not None:
                return found
            await asyncio.sleep(0.005)
        raise TimeoutError

    async def state(self, wanted: str) -> str:
        """Wait for this state; its reason."""
        for _ in range(1000):
            if self.client.condition.state == wanted:
                return self.client.condition.reason
            await self.client.sweep(0.001, 0.001)
            await asyncio.sleep(0.005)
        raise TimeoutError


Make = Callable[..., Scene]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setattr("agent.gpu.client._FAREWELL", 0.05)
    monkeypatch.setattr("agent.gpu.client._NUDGE", 0.05)
    scenes: list[Scene] = []

    def build(*faults: str, **settings: Any) -> Scene:
        scenes.append(Scene(*faults, **settings))
        return scenes[-1]

    yield build
    for scene in scenes:
        await scene.client.close()
    for process in child.lingering:
        process.kill()
        process.wait()
    child.lingering.clear()


async def gone(pid: int) -> None:
    for _ in range(1000):
        if not Path(f"/proc/{pid}").exists():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


async def test_it_is_started_with_the_first_question_and_answers(make: Make) -> None:
    scene = make()
    assert scene.pid() is None
    assert scene.client.condition[:2] == ("waiting", "the probe starts")
    first, second = await scene.answered(), await scene.answered()
    assert first["number"] < second["number"]
    pid = scene.pid()
    assert pid is not None
    assert os.getsid(pid) == pid, "Ctrl-C in a terminal does not reach it"


async def test_events_come_by_themselves(make: Make) -> None:
    scene = make("event=79")
    await scene.answered()
    assert scene.heard[0]["code"] == 79


async def test_what_is_no_message_is_said_and_skipped(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    await make("chatter").answered()
    assert caplog.text.count("what is no message: b'a library prints") == 1


async def test_a_late_answer_is_dropped(make: Make) -> None:
    scene = make("slow=0.05")
    await scene.answered()
    assert await scene.client.sweep(0.01, 0.01) is None
    assert scene.client.condition.state == "waiting"
    late = scene.client._number
    assert await scene.client.sweep(0.01, 0.01) is None
    assert scene.client._number == late, "one question at a time"
    assert (await scene.answered())["number"] == late + 1


async def test_a_silent_probe_is_waited_for_then_hung_then_ended(make: Make) -> None:
    scene = make("silent-after=1", "slow=0")
    await scene.answered()
    pid = scene.pid()
    assert await scene.client.sweep(0.01, 0.01) is None
    assert scene.client.condition.state == "waiting"
    scene.now += 6
    assert scene.client.condition == ("hung", "the probe does not answer", "probe", 6.0)
    scene.will()
    scene.now += 25
    await scene.sweep()
    assert (await scene.answered())["state"] == "ready"
    assert scene.pid() != pid
    assert scene.client.restarts == {"silent": 1}


async def test_a_crash_is_a_state_and_the_next_one_takes_over(make: Make) -> None:
    scene = make("crash-after=1")
    await scene.answered()
    scene.will()
    assert await scene.sweep() is None, "and not waited for until the deadline"
    assert (await scene.state("failing")) == "the probe ended: killed by SIGSEGV"
    await scene.answered()
    assert scene.client.restarts == {"signal": 1}


async def test_failures_are_tried_again_more_and_more_seldom(make: Make) -> None:
    scene = make("complain")
    await scene.paused(7)
    assert scene.pauses[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert await scene.state("failing") == "the probe ended: exit status 1: ImportError: no pynvml"


async def test_a_program_that_is_not_there_is_a_state(make: Make) -> None:
    scene = make()
    scene.client._command = ["/no/such/python"]
    assert "cannot be started" in await scene.state("failing")


async def test_a_driver_upgrade_beneath_it_costs_no_pause(make: Make) -> None:
    scene = make("status-after=1", f"status={OUTDATED}")
    await scene.answered()
    scene.now += 60
    scene.will()
    assert await scene.sweep() is None
    await scene.answered()
    assert scene.pauses == [0.0]
    assert scene.client.restarts == {"mismatch": 1}


async def test_a_library_that_never_fits_is_no_busy_loop(make: Make) -> None:
    scene = make("status-after=0", f"status={OUTDATED}")
    await scene.paused(4)
    assert scene.pauses[:4] == [1.0, 2.0, 4.0, 8.0]


async def test_it_lets_go_at_a_signal_and_takes_the_driver_again(make: Make) -> None:
    scene = make()
    await scene.answered()
    pid = scene.pid()
    assert pid is not None
    scene.hold.release()
    await gone(pid)
    await scene.state("released")
    assert await scene.sweep() is None
    assert scene.pid() is None
    scene.hold.resume()
    await scene.answered()
    assert scene.pid() not in (None, pid)
    assert scene.client.restarts == {}
    assert scene.pauses == []


async def test_it_takes_the_driver_again_by_itself(make: Make) -> None:
    scene = make(resume_after="20ms")
    await scene.answered()
    scene.hold.release()
    await scene.state("released")
    await scene.answered()
    assert not scene.hold.held


async def test_released_before_it_began(make: Make) -> None:
    scene = make()
    scene.hold.release()
    await scene.state("released")
    assert scene.pid() is None


async def test_one_that_cannot_let_go_is_said_and_nothing_is_started_beside_it(make: Make) -> None:
    scene = make("stubborn")
    await scene.answered()
    pid = scene.pid()
    assert pid is not None
    scene.hold.release()
    assert f"process {pid}) is in a driver call and cannot let go" in await scene.state("hung")
    scene.hold.resume()
    await asyncio.sleep(0.05)
    await scene.sweep()
    assert scene.pid() == pid, "no second one"
    os.kill(pid, signal.SIGKILL)  # as if its call had returned
    scene.will()
    await scene.answered()
    assert scene.pid() not in (None, pid)


async def test_one_that_lives_on_after_the_agent_is_waited_for_by_the_next(make: Make) -> None:
    scene = make("stubborn")
    await scene.answered()
    pid = scene.pid()
    assert pid is not None
    await scene.client.close()
    assert child.still_lingering() == [pid]
    again = make()
    assert f"an earlier probe (process {pid})" in await again.state("hung")
    assert again.pid() is None
    os.kill(pid, signal.SIGKILL)
    await again.answered()


async def test_asking_one_that_has_just_ended_is_no_fault(make: Make) -> None:
    scene = make()
    await scene.answered()
    gone = scene.client._child
    assert gone is not None
    gone.leave()
    assert not gone.send(b"{}\n")


async def test_closing_lets_the_driver_go(make: Make) -> None:
    scene = make()
    await scene.answered()
    pid = scene.pid()
    assert pid is not None
    await scene.client.close()
    assert not Path(f"/proc/{pid}").exists()
    assert child.still_lingering() == []


def test_the_agent_is_found_by_the_child_wherever_it_runs(tmp_path: Path) -> None:
    import subprocess

    command = python_module("agent.gpu.protocol")
    done = subprocess.run(command, env=environment_for_python(), cwd=tmp_path, check=False)
    assert done.returncode == 0


async def test_a_fault_of_its_own_ends_no_probe_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    start = child.Child.start
    broken = True

    async def once(*arguments: Any) -> child.Child:
        nonlocal broken
        if broken:
            broken = False
            raise RuntimeError("can't start new thread")
        return await start(*arguments)

    monkeypatch.setattr(child.Child, "start", once)
    assert (await scene.answered())["say"] == "sweep"
    assert scene.client.restarts == {"failure": 1}
    assert "can't start new thread" in caplog.text
    await scene.client.close()
