"""What `fleetowl agent --once` and `fleetowl top` show: plain data, and the keys of its JSON.

Figures carry their unit in the name. None is "not known", which is never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SCHEMA_VERSION = 1
"""Of the JSON: a key may be added under the same version; one that goes or changes its meaning raises it."""

Severity = Literal["broken", "warning", "note"]
"""Broken: something that should work does not (exit status 1). Warning: needs a look. Note: fine."""


@dataclass(frozen=True, slots=True)
class HostView:
    """The host: what a first look asks."""

    kernel: str = ""
    """System and release, `Linux 6.1.0-28-amd64`."""
    cpus: int | None = None
    cpu_busy_ratio: float | None = None
    """Share of the CPUs' time that was not idle, between two readings."""
    load1: float | None = None
    load5: float | None = None
    load15: float | None = None
    memory_total_bytes: float | None = None
    memory_available_bytes: float | None = None
    fullest_mountpoint: str = ""
    fullest_used_ratio: float | None = None
    """Share of the fullest file system that is used, as `df` counts it."""
    uptime_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class XidView:
    """How often an XID was seen since the agent began."""

    xid: int
    count: int
    tier: str = ""
    """P0 to P3: how urgent it is; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process that has memory of a GPU."""

    pid: int
    name: str
    memory_bytes: float | None


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU, or one MIG instance of it (then `mig_profile` is set)."""

    gpu: str
    """Index in the driver's order."""
    uuid: str
    model_name: str = ""
    pci_bus_id: str = ""
    mig_profile: str = ""
    mig_instance: str = ""
    state: str = "up"
    """`up`, `waiting`, `hung`, `lost`, `failing` or `unknown`."""
    reason: str = ""
    """Why it is not up."""
    utilization_ratio: float | None = None
    """Share of time in which a kernel ran."""
    sm_active_ratio: float | None = None
    """Share of the multiprocessors that were busy."""
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    temperature_celsius: float | None = None
    memory_temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    sm_clock_hertz: float | None = None
    memory_clock_hertz: float | None = None
    clock_reasons: tuple[str, ...] = ()
    """Why its clocks are lower than they could be, in words."""
    trouble: tuple[str, ...] = ()
    """What needs a look, in words, worst first."""
    notes: tuple[str, ...] = ()
    """Counters of errors that are not zero and do not grow."""
    xids: tuple[XidView, ...] = ()
    pods: tuple[str, ...] = ()
    """`namespace/pod/container` of those that have it."""
    processes: tuple[ProcessView, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineView:
    """One serving engine or application whose metrics are scraped."""

    job: str
    instance: str
    engine: str = ""
    """What it is: `vllm`, `sglang` and so on; empty where that is not known."""
    version: str = ""
    model_name: str = ""
    state: str = "up"
    """`up`, `limited`, `starting`, `ill` (its health is bad), `stuck` (no progress), `down` or `unknown`."""
    reason: str = ""
    requests_running: float | None = None
    requests_waiting: float | None = None
    kv_cache_usage_ratio: float | None = None
    generation_tokens_per_second: float | None = None
    time_to_first_token_seconds: float | None = None
    """Mean of the requests that got their first token between two readings, else of all since it began."""
    progress_age_seconds: float | None = None
    """For how long it has had requests and not moved; 0 while it moves or is idle."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong or missing, with its reason and the way out."""

    severity: Severity
    subject: str
    """`gpu 3`, `engine vllm at 127.0.0.1:8000`, `kernel log`."""
    text: str


@dataclass(frozen=True, slots=True)
class NodeView:
    """Everything about one node."""

    node: str
    host: HostView = field(default_factory=HostView)
    driver_version: str = ""
    driver_state: str = "unknown"
    """Of the NVIDIA driver: `ready`, `absent` (healthy), `waiting`, `hung`, `failing` or `unknown`."""
    driver_reason: str = ""
    gpus: tuple[GpuView, ...] = ()
    """Worst first."""
    engines: tuple[EngineView, ...] = ()
    """Worst first."""
    wrong: tuple[Finding, ...] = ()
    """Worst first."""
    missing: tuple[Finding, ...] = ()
    """What is not seen, and why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen at one moment. `at_seconds` is a Unix time."""

    schema_version: int
    at_seconds: float
    nodes: tuple[NodeView, ...]
    """Worst first."""

    @property
    def broken(self) -> bool:
        """Whether something that should work does not."""
        return any(each.severity == "broken" for node in self.nodes for each in (*node.wrong, *node.missing))
