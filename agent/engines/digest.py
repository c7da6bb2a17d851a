"""What the agent itself reads from an engine's page: where on it the series are that it derives others from.

The places are looked up once for as long as the page shows the same series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.engines.kinds import Kind, kind_of_page
from model.labels import Labels
from wire import aliases

PROCESS_START = "process_start_time_seconds"
LORA_INFO = "vllm:lora_requests_info"

_WORK = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_SLEEP_STATE = "vllm:engine_sleep_state"
_PROGRESS = frozenset(
    [
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:iteration_tokens_total_count",
        "vllm:request_success_total",
        "vllm:inter_token_latency_seconds_count",
        "vllm:time_to_first_token_seconds_count",
    ]
)
# What moves while other engines work, though it is no alias: some of it only when a request ends. Sources:
# SGLang metrics/collector.py (realtime tokens: at each log interval), TGI router docs (forward passes),
# Triton's TensorRT-LLM backend README (iterations of the batcher).
_PROGRESS_ELSEWHERE = frozenset(
    [
        "sglang:realtime_tokens_total",
        "sglang:prompt_tokens_total",
        "sglang:generation_tokens_total",
        "trtllm_prompt_tokens_total",
        "trtllm_generation_tokens_total",
        "tgi_batch_inference_count",
        "tgi_request_success",
    ]
)
_TRITON_GENERAL, _TRITON_ITERATIONS = "nv_trt_llm_general_metrics", "iteration_counter"
_MOST_MODELS = 16


class Unit(NamedTuple):
    """One engine of an instance: a rank of data parallelism, and the model that it serves."""

    engine: str
    model_name: str


@dataclass(slots=True)
class Places:
    """Rows of the series of one unit."""

    work: list[int] = field(default_factory=list)
    """Requests that run or wait."""
    progress: list[int] = field(default_factory=list)
    """Counters that move while it works."""
    awake: list[int] = field(default_factory=list)
    """1 while it does not sleep."""


@dataclass(slots=True)
class Digest:
    """The rows of a page that the agent reads itself."""

    kind: Kind | None = None
    units: dict[Unit, Places] = field(default_factory=dict)
    """Those that can have work."""
    process_start: int | None = None
    lora: list[tuple[int, Labels]] = field(default_factory=list)
    models: tuple[str, ...] = ()

    def has_served(self, values: Sequence[float]) -> bool:
        """Whether anything was ever generated, as the page with these values tells."""
        return any(values[row] > 0 for places in self.units.values() for row in places.progress)


def unit_of(labels: Mapping[str, str]) -> Unit:
    """Whose series it is. SGLang calls the rank `dp_rank`, Triton the model `model`."""
    engine = labels.get("engine") or labels.get("dp_rank") or ""
    return Unit(engine, labels.get("model_name") or labels.get("model") or "")


def digest(rows: Sequence[Labels]) -> Digest:
    """The digest of a page with these series, in the order of its rows."""
    found = Digest(kind_of_page(labels.name for labels in rows))
    units: dict[Unit, Places] = {}
    for row, labels in enumerate(rows):
        name = labels.name
        if name == PROCESS_START:
            found.process_start = row
            continue
        canonical = aliases.canonical(name, labels) or name
        if canonical in _WORK:
            units.setdefault(unit_of(labels), Places()).work.append(row)
        elif canonical == LORA_INFO:
            found.lora.append((row, labels))
        elif canonical == _SLEEP_STATE and labels.value("sleep_state") == "awake":
            units.setdefault(unit_of(labels), Places()).awake.append(row)
        elif _is_progress(name, canonical, labels):
            units.setdefault(unit_of(labels), Places()).progress.append(row)
    _share(units)
    found.units = {unit: places for unit, places in units.items() if places.work and places.progress}
    found.models = tuple(sorted({unit.model_name for unit in units if unit.model_name})[:_MOST_MODELS])
    return found


def _is_progress(name: str, canonical: str, labels: Labels) -> bool:
    if name == _TRITON_GENERAL:
        return labels.value("general_type") == _TRITON_ITERATIONS
    return canonical in _PROGRESS or name in _PROGRESS_ELSEWHERE


def _share(units: dict[Unit, Places]) -> None:
    """What is counted for the whole instance is progress of each of its engines that counts none itself."""
    for unit, places in units.items():
        if places.work and not places.progress:
            for other in (Unit("", unit.model_name), Unit(unit.engine, ""), Unit("", "")):
                places.progress = units[other].progress if other in units else []
                if places.progress:
                    break
