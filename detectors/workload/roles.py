"""What a metric is for the work of an engine or a GPU: what tells of demand, what is judged by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache

from wire.aliases import canonical


class Role(IntEnum):
    """How demand bears on a metric."""

    NONE = 0  # not at all: it is scored at any time
    ENGINE = 1  # of an engine: left out while nothing runs and nothing waits
    PROGRESS = 2  # of an engine: what it gets done; low counts while something runs
    TURNOVER = 3  # of an engine: requests in and out; low counts while something waits
    GPU = 4  # of a GPU: left out while it is idle
    GPU_WORK = 5  # of a GPU: what it gets done; low counts while it is in use
    GPU_HEAT = 6  # of a GPU: follows the work late


class Signal(IntEnum):
    """What a gauge tells about the work."""

    RUNNING = 0
    WAITING = 1
    IN_USE = 2


UNKNOWN, FREE, IDLE, BUSY, QUEUED = -1, 0, 1, 2, 3
"""What is known of demand; FREE: nothing tells of it, so that nothing depends on it."""
SIGNALS = {
    "vllm:num_requests_running": Signal.RUNNING,
    "vllm:num_requests_waiting": Signal.WAITING,
    "DCGM_FI_DEV_GPU_UTIL": Signal.IN_USE,
}
_ENGINE = re.compile(
    r"(?:vllm|sglang|lmdeploy):.*|(?:trtllm|tgi|nv_trt_llm|ray_vllm)_.*|http_(?:re|server_)\w+"
)
# What counts failures is scored at any time: it is 0 in idle time as it should be in any other.
_FAILURES = re.compile(
    r".*(?:preempt|retract|reject|corrupt|error|fail|abort)\w*|vllm:(?:engine_sleep_state|cache_config_info)"
)
_PROGRESS = re.compile(
    r"vllm:(?:generation_tokens_total|iteration_tokens_total_(?:count|sum)|inter_token_latency_seconds_count"
    r"|estimated_\w+_per_gpu_total)|sglang:gen_throughput"
)
_GPU_WORK = re.compile(
    r"DCGM_FI_DEV_(?:POWER_USAGE|TOTAL_ENERGY_CONSUMPTION|SM_CLOCK|MEM_CLOCK|MEM_COPY_UTIL)"
    r"|DCGM_FI_PROF_\w+|DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL|DCGM_FI_DEV_BOARD_POWER_WATTS"
)
_GPU_HEAT = re.compile(r"DCGM_FI_DEV_(?:GPU|MEMORY)_TEMP\w*|DCGM_FI_DEV_FAN_SPEED")
_GPU = re.compile(r"DCGM_FI_DEV_(?:GPU_UTIL|ENC_UTIL|DEC_UTIL)\w*")
_BAD_ENDS = {"error", "abort", "repetition"}


def concerned(name: str) -> bool:
    """Whether a metric of this name can have to do with demand, whatever its labels."""
    return name.startswith("DCGM_") or bool(_ENGINE.fullmatch(name))


def plain(name: str, labels: Mapping[str, str]) -> str:
    """The name that vLLM has for it, if there is one.

    >>> plain("trtllm_num_requests_running", {}), plain("node_load1", {})
    ('vllm:num_requests_running', 'node_load1')
    """
    return canonical(name, labels) or name


def signal_of(name: str, labels: Mapping[str, str]) -> Signal | None:
    """What a series tells about the work; None if nothing.

    >>> signal_of("nv_trt_llm_request_metrics", {"request_type": "waiting"}).name
    'WAITING'
    """
    return SIGNALS.get(plain(name, labels))


def role_of(name: str, labels: Mapping[str, str]) -> Role:
    """How demand bears on a series.

    >>> role_of("vllm:generation_tokens_total", {}).name, role_of("http_requests_total", {}).name
    ('PROGRESS', 'TURNOVER')
    >>> role_of("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", {}).name
    'NONE'
    """
    if name.startswith("DCGM_"):
        return _of_gpu(name)
    if not _ENGINE.fullmatch(name):
        return Role.NONE
    bad_end = labels.get("finished_reason") in _BAD_ENDS or labels.get("status", "2")[:1] in "45"
    return _of_engine(plain(name, labels), bad_end)


@lru_cache(maxsize=4096)
def _of_gpu(name: str) -> Role:
    for role, names in ((Role.GPU_WORK, _GPU_WORK), (Role.GPU_HEAT, _GPU_HEAT), (Role.GPU, _GPU)):
        if names.fullmatch(name):
            return role
    return Role.NONE


@lru_cache(maxsize=4096)
def _of_engine(known: str, bad_end: bool) -> Role:
    if (_FAILURES.fullmatch(known) and not known.startswith("vllm:request_num_preemptions")) or bad_end:
        return Role.NONE
    if _PROGRESS.fullmatch(known):
        return Role.PROGRESS
    return Role.TURNOVER if re.fullmatch(r".*_(?:total|count|sum)", known) else Role.ENGINE
