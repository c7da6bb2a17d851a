"""`fleetowl agent --once` on hosts with trouble: each is one line with its reason, and never a crash."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.nvml.stub import Stub
from simulator.nvml.symbols import CALLS
from tests.agent.whole import WholeAgent

pytestmark = pytest.mark.acceptance

_UNPRIVILEGED = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command for which a file's mode counts, even where root runs the tests."""

Once = Callable[..., "Told"]


class Told:
    """What the command printed, as a table and as data, and its exit status."""

    def __init__(self, status: int, text: str, errors: str) -> None:
        self.status, self.text, self.errors = status, text, errors

    def line(self, part: str) -> str:
        """The only line that holds this."""
        lines = [line for line in self.text.splitlines() if part in line]
        assert len(lines) == 1, self.text + self.errors
        return lines[0]


@pytest.fixture
def once(tmp_path: Path) -> Once:
    def run(
        settings: Mapping[str, Any] | None = None,
        stub: Stub | None = None,
        output: str = "table",
        privileged: bool = True,
    ) -> Told:
        path = tmp_path / "agent.yml"
        section: dict[str, Any] = {"node": "gpu-7", "pods": {"socket": str(tmp_path / "no.sock")}}
        path.write_text(yaml.safe_dump({"agent": {**section, **(settings or {})}}))
        wrapper = [] if privileged else [sys.executable, "-c", _UNPRIVILEGED]
        command = [sys.executable, "-m", "fleetowl", "agent", "--once", "-o", output, "--config", str(path)]
        done = subprocess.run(
            [*wrapper, *command],
            env={**os.environ, **(stub.environment() if stub is not None else {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Told(done.returncode, done.stdout, done.stderr)

    return run


def test_no_driver_is_fine(once: Once) -> None:
    told = once()
    assert told.status == 0
    assert told.line("No NVIDIA GPU") == ("No NVIDIA GPU on this node: NVML library not found. That is fine.")


def test_a_driver_that_is_not_loaded_is_fine(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    stub = nvml_stub(gpus=2)
    stub.init_returns(9)
    told = once(stub=stub)
    assert told.status == 0
    assert "not loaded" in told.line("No NVIDIA GPU").lower()


def test_a_good_node_reads_well(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    told = once(stub=nvml_stub(gpus=8, load="busy"))
    assert told.line("GPUs:").startswith("GPUs: 8 x NVIDIA H100 80GB HBM3, driver 570.86.15")
    assert told.text.count("97 %") >= 8
    assert "What is wrong" not in told.text


def test_a_lost_gpu_stands_first(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    stub = nvml_stub(gpus=8, load="busy")
    stub.gpus[5].lose()
    told = once(stub=stub)
    assert told.status == 1
    lines = told.text.splitlines()
    assert "GPU 5" in lines[lines.index("What is wrong, worst first") + 1]
    assert "lost" in told.text


def test_a_hung_gpu_is_said_and_the_others_are_shown(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    stub = nvml_stub(gpus=4, load="busy")
    stub.gpus[2].hang()
    told = once({"gpu": {"hung_after": "2s"}}, stub=stub)
    assert told.status == 1
    assert "hung" in told.line("GPU 2")
    assert told.text.count("97 %") >= 3


def test_a_library_that_is_no_driver_is_said(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    told = once(stub=nvml_stub(gpus=1, wrong_library=True))
    assert told.status == 1
    assert "NVML" in told.line("No GPU is seen")


def test_half_a_library_shows_what_it_has(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    needed = (
        "Init",
        "Shutdown",
        "Error",
        "Count",
        "Handle",
        "UUID",
        "PciInfo",
        "MinorNumber",
        "Name",
        "Driver",
    )
    optional = [call for call in CALLS if not any(word in call for word in needed)]
    without = optional[::2]
    assert len(without) > 20
    told = once(stub=nvml_stub(gpus=2, without=without))
    assert "GPUs: 2 x" in told.text
    missing = told.text.split("What is missing and why")[1]
    assert "nvmlDeviceGetTemperature" in missing or "DCGM_FI_DEV_GPU_TEMP" in missing
    assert "XIDs are not heard" in missing


def test_a_kernel_log_that_may_not_be_read_is_said(
    once: Once, nvml_stub: Callable[..., Stub], tmp_path: Path
) -> None:
    log = tmp_path / "kmsg"
    log.write_text("")
    log.chmod(0)
    stub = nvml_stub(gpus=1, load="busy")
    told = once({"kernel_log": {"path": str(log)}}, stub=stub, privileged=False)
    assert told.status == 1
    line = told.line("kernel log")
    assert str(log) in line
    assert "denied" in line


def test_a_kubelet_socket_that_may_not_be_opened_is_said(
    once: Once, nvml_stub: Callable[..., Stub], tmp_path: Path
) -> None:
    path = tmp_path / "kubelet.sock"
    with socket.socket(socket.AF_UNIX) as kubelet:
        kubelet.bind(str(path))
        path.chmod(0)
        kubelet.listen()
        told = once({"pods": {"socket": str(path)}}, stub=nvml_stub(gpus=1), privileged=False)
    assert "permission denied" in told.line("pods  ").lower()
    assert told.status == 1


def test_a_kubelet_that_has_gone_is_said(once: Once, nvml_stub: Callable[..., Stub], tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with socket.socket(socket.AF_UNIX) as kubelet:
        kubelet.bind(str(path))
    told = once({"pods": {"socket": str(path)}}, stub=nvml_stub(gpus=1))
    assert str(path) in told.line("pods  ")


def test_an_engine_that_is_down_is_said(once: Once) -> None:
    told = once({"engines": [{"job": "vllm", "url": "http://127.0.0.1:1/metrics"}]})
    assert told.status == 1
    assert "down" in told.line("engine vllm at 127.0.0.1:1")


def test_a_wrong_configuration_is_exit_2(once: Once) -> None:
    told = once({"intervall": "1s"})
    assert told.status == 2
    assert told.text == ""
    assert "agent.intervall: unknown key (did you mean interval?)" in told.errors


def test_data_is_data_whatever_is_wrong(once: Once, nvml_stub: Callable[..., Stub]) -> None:
    stub = nvml_stub(gpus=2, load="busy")
    stub.gpus[0].lose()
    told = once(stub=stub, output="json")
    (node,) = json.loads(told.text)["nodes"]
    assert (told.status, node["driver_state"]) == (1, "ready"), "one GPU is not the driver"
    assert [(gpu["gpu"], gpu["state"]) for gpu in node["gpus"]] == [("0", "lost"), ("1", "up")]


def test_a_gpu_that_was_there_is_missed(once: Once, nvml_stub: Callable[..., Stub], tmp_path: Path) -> None:
    stub = nvml_stub(gpus=2, load="busy")
    settings = {"gpu": {"last_seen": str(tmp_path / "gpus.json")}}
    with WholeAgent(tmp_path / "agent", settings, stub.environment()) as agent:
        agent.page(lambda page: page.count("\nDCGM_FI_DEV_GPU_TEMP{") == 2)
    known = (tmp_path / "gpus.json").read_bytes()
    stub.gpus[0].vanish()
    told = once(settings, stub=stub, output="json")
    (node,) = json.loads(told.text)["nodes"]
    assert [(each["gpu"], each["state"]) for each in node["gpus"]] == [("0", "lost"), ("0", "up")]
    assert [each["uuid"] for each in node["gpus"]] == [gpu.uuid for gpu in stub.gpus]
    assert node["wrong"][0]["subject"] == f"GPU 0 ({stub.gpus[0].uuid[:12]})", "its index is another's now"
    assert (tmp_path / "gpus.json").read_bytes() == known, "a look leaves no trace"
