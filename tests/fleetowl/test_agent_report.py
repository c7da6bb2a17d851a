"""`fleetowl agent --once`, as the person on call reads it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from agent.snapshot.shape import (
    EngineView,
    Finding,
    GpuView,
    HostView,
    NodeView,
    ProcessView,
    Snapshot,
    XidView,
)
from fleetowl.agent_report import as_data, report

GIB = 1 << 30
MODEL = "NVIDIA H100 80GB HBM3"
HOST = HostView(
    kernel="Linux 6.1.0-28-amd64",
    cpus=192,
    cpu_busy_ratio=0.25,
    load1=48.2,
    load5=47.1,
    load15=45.0,
    memory_total_bytes=2016 * GIB,
    memory_available_bytes=1706 * GIB,
    fullest_mountpoint="/var/lib/models",
    fullest_used_ratio=0.81,
    uptime_seconds=12 * 86_400,
)
BUSY = GpuView(
    gpu="0",
    uuid="GPU-1f2e3d4c-aaaa-bbbb-cccc-000000000000",
    model_name=MODEL,
    utilization_ratio=0.97,
    sm_active_ratio=0.88,
    memory_used_bytes=71.25 * GIB,
    memory_total_bytes=80 * GIB,
    temperature_celsius=64,
    power_watts=612.4,
    power_limit_watts=700,
    sm_clock_hertz=1.755e9,
    clock_reasons=("power cap",),
    pods=("llm/vllm-7f/server",),
)
LOST = GpuView(
    gpu="3",
    uuid="GPU-9a8b7c6d-aaaa-bbbb-cccc-000000000003",
    model_name=MODEL,
    state="lost",
    reason="the driver does not list it any more",
    xids=(XidView(79, 1), XidView(31, 4)),
)
HOT = dataclasses.replace(
    BUSY,
    gpu="5",
    uuid="GPU-5e5e5e5e-aaaa-bbbb-cccc-000000000005",
    temperature_celsius=91,
    sm_clock_hertz=1.2e9,
    clock_reasons=("power cap", "too hot (hardware)"),
    trouble=("slowed down: too hot (hardware)",),
    pods=(),
    processes=(ProcessView(4242, "python3", 71 * GIB),),
)
GOOD_ENGINE = EngineView(
    job="vllm",
    instance="127.0.0.1:8000",
    engine="vllm",
    version="0.32.0",
    model_name="llama-3",
    requests_running=12,
    requests_waiting=3,
    kv_cache_usage_ratio=0.81,
    generation_tokens_per_second=1834,
    time_to_first_token_seconds=0.213,
    progress_age_seconds=0.4,
)
DOWN_ENGINE = EngineView("vllm", "127.0.0.1:8001", state="down", reason="connection refused")
NODE = NodeView(
    node="gpu-7",
    host=HOST,
    driver_version="580.105.08",
    driver_state="ready",
    gpus=(LOST, HOT, BUSY),
    engines=(DOWN_ENGINE, GOOD_ENGINE),
    wrong=(
        Finding("broken", "GPU 3", "lost: the driver does not list it any more"),
        Finding("broken", "engine vllm at 127.0.0.1:8001", "down: connection refused"),
        Finding("warning", "GPU 5", "slowed down: too hot (hardware)"),
    ),
    missing=(
        Finding(
            "broken",
            "kernel log",
            "failing: /dev/kmsg may not be read: run as root or give the agent CAP_SYSLOG",
        ),
        Finding("note", "pods", "absent: no kubelet at /var/lib/kubelet/pod-resources/kubelet.sock"),
    ),
)
SNAPSHOT = Snapshot(1, 1.7e9, (NODE,))

WIDE = """\
gpu-7  Linux 6.1.0-28-amd64  up 12 d  192 CPUs, 25 % busy  load 48.20 47.10 45.00  memory 310.0/2016.0 GiB (15 %)  fullest disk /var/lib/models 81 %

What is wrong, worst first
  GPU 3                          lost: the driver does not list it any more
  engine vllm at 127.0.0.1:8001  down: connection refused
  GPU 5                          slowed down: too hot (hardware)

GPUs: 3 x NVIDIA H100 80GB HBM3, driver 580.105.08
GPU  STATE  UTIL    SM         MEMORY  TEMP      POWER     CLOCK  UUID          WHO                 NOTES
3    lost      -     -              -     -          -         -  GPU-9a8b7c6d  -                   XID 31 (4 times), XID 79
5    up     97 %  88 %  71.2/80.0 GiB  91 C  612/700 W  1200 MHz  GPU-5e5e5e5e  4242 python3        power cap, too hot (hardware)
0    up     97 %  88 %  71.2/80.0 GiB  64 C  612/700 W  1755 MHz  GPU-1f2e3d4c  llm/vllm-7f/server  power cap

Engines
INSTANCE        ENGINE  STATE  RUNNING  WAITING    KV  TOKENS/S    TTFT  PROGRESS  MODEL    VERSION
127.0.0.1:8001  vllm    down         -        -     -         -       -  -         -        -
127.0.0.1:8000  vllm    up          12        3  81 %      1834  0.21 s  moves     llama-3  0.32.0

What is missing and why
  kernel log  failing: /dev/kmsg may not be read: run as root or give the agent CAP_SYSLOG
  pods        absent: no kubelet at /var/lib/kubelet/pod-resources/kubelet.sock
"""  # noqa: E501

NARROW = """\
gpu-7  Linux 6.1.0-28-amd64  up 12 d  192 CPUs, 25 % busy
load 48.20 47.10 45.00  memory 310.0/2016.0 GiB (15 %)
fullest disk /var/lib/models 81 %

What is wrong, worst first
  GPU 3                          lost: the driver does not list it any more
  engine vllm at 127.0.0.1:8001  down: connection refused
  GPU 5                          slowed down: too hot (hardware)

GPUs: 3 x NVIDIA H100 80GB HBM3, driver 580.105.08
GPU  STATE  UTIL    SM         MEMORY  TEMP      POWER  WHO
3    lost      -     -              -     -          -  -
5    up     97 %  88 %  71.2/80.0 GiB  91 C  612/700 W  4242 python3
0    up     97 %  88 %  71.2/80.0 GiB  64 C  612/700 W  llm/vllm-7f/server

Engines
INSTANCE        ENGINE  STATE  RUNNING  WAITING    KV  TOKENS/S    TTFT
127.0.0.1:8001  vllm    down         -        -     -         -       -
127.0.0.1:8000  vllm    up          12        3  81 %      1834  0.21 s

What is missing and why
  kernel log  failing: /dev/kmsg may not be read: run as root or give the agent
              CAP_SYSLOG
  pods        absent: no kubelet at /var/lib/kubelet/pod-resources/kubelet.sock
"""


def test_a_node_in_trouble() -> None:
    assert report(SNAPSHOT, None) == WIDE


def test_a_narrow_terminal() -> None:
    told = report(SNAPSHOT, 80)
    assert told == NARROW
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize("width", [20, 40, 60, 100, 160])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = report(SNAPSHOT, width).splitlines()
    assert max(map(len, lines)) <= max(width, 40), "the columns that always stay have a width"


def test_a_node_without_a_gpu_is_fine() -> None:
    node = NodeView(
        "web-1", HostView("Linux 6.1.0", 2), driver_state="absent", driver_reason="NVML library not found"
    )
    assert report(Snapshot(1, 1.7e9, (node,)), None) == (
        "web-1  Linux 6.1.0  2 CPUs\n\nNo NVIDIA GPU on this node: NVML library not found. That is fine.\n"
    )


def test_colour_is_only_where_it_is_asked_for() -> None:
    assert "\x1b[" not in report(SNAPSHOT, 80)
    painted = report(SNAPSHOT, 80, colour=True)
    assert "\x1b[31mlost" in painted
    assert "\x1b[33mup" in painted, "a GPU in trouble is yellow"


def test_the_json_has_the_figures_and_their_units() -> None:
    data = json.loads(json.dumps(as_data(SNAPSHOT)))
    assert data["schema_version"] == 1
    (node,) = data["nodes"]
    lost, _, busy = node["gpus"]
    assert (lost["state"], lost["utilization_ratio"]) == ("lost", None)
    assert lost["xids"] == [
        {"xid": 79, "count": 1, "tier": ""},
        {"xid": 31, "count": 4, "tier": ""},
    ]
    assert busy["memory_used_bytes"] == 71.25 * GIB
    assert node["missing"][0]["severity"] == "broken"
    assert node["engines"][1]["generation_tokens_per_second"] == 1834
