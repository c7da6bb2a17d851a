"""The whole agent on a stub driver: signals, kills, and a node without a driver."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.nvml.stub import Stub
from tests.agent.whole import WholeAgent

pytestmark = pytest.mark.acceptance

UTIL = "DCGM_FI_DEV_GPU_UTIL"
_PATIENCE = 20.0


@pytest.fixture
def whole(nvml_stub: Callable[..., Stub], tmp_path: Path) -> Callable[..., tuple[Stub, WholeAgent]]:
    def build(**settings: Any) -> tuple[Stub, WholeAgent]:
        stub = nvml_stub(gpus=2, load="busy")
        agent = WholeAgent(tmp_path / "agent", {"pods": {"enabled": False}, **settings}, stub.environment())
        return stub, agent

    return build


def _probe_of(agent: int) -> int:
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    (found,) = [
        int(pid) for pid in children if b"agent.gpu.probe" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def _gone(pid: int) -> None:
    end = time.monotonic() + _PATIENCE
    while Path(f"/proc/{pid}").exists():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        assert time.monotonic() < end
        time.sleep(0.02)


def test_signals_let_go_of_the_driver_and_take_it_again(whole: Any) -> None:
    _, agent = whole()
    with agent:
        agent.page(lambda page: f"{UTIL}{{" in page)
        pid = _probe_of(agent.process.pid)
        agent.process.send_signal(signal.SIGUSR1)
        page = agent.page(lambda page: 'state="released"' in page)
        assert f"{UTIL}{{" not in page
        _gone(pid)
        agent.process.send_signal(signal.SIGUSR2)
        agent.page(lambda page: f"{UTIL}{{" in page)
        assert agent.process.poll() is None


def test_the_probe_ends_with_an_agent_that_is_killed_even_if_a_call_hangs(whole: Any) -> None:
    stub, agent = whole()
    with agent:
        agent.page(lambda page: f"{UTIL}{{" in page)
        pid = _probe_of(agent.process.pid)
        stub.gpus[0].hang("*")
        agent.page(lambda page: 'state="waiting"' in page or "fleetowl_probe_hung" in page)
        agent.process.kill()
        _gone(pid)


def test_no_library_is_healthy(tmp_path: Path) -> None:
    with WholeAgent(tmp_path, {"pods": {"enabled": False}}, {"LD_LIBRARY_PATH": ""}) as agent:
        page = agent.page(lambda page: "fleetowl_gpu_status{" in page and 'state="waiting"' not in page)
    if "ready" not in page:  # this machine has no driver of its own
        assert 'state="absent"' in page
        assert "fleetowl_gpu_driver_devices 0" in page
