"""`fleetowl agent --once`: a snapshot as a page for the person on call, or as data."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from agent.snapshot.findings import DRIVER
from agent.snapshot.shape import EngineView, Finding, GpuView, HostView, NodeView, Snapshot
from agent.snapshot.words import short_uuid
from fleetowl.figures import NOTHING, gibibytes, number, percent, since, watts
from fleetowl.terminal import BOLD, RED, YELLOW, Column, cut, paint, paragraph, render
from fleetowl.visible import visible

_MHZ = 1_000_000
_STILL_SECONDS = 5.0


def as_data(snapshot: Snapshot) -> dict[str, Any]:
    """For JSON and YAML: the fields of `agent.snapshot.shape`, not known is null."""
    return dataclasses.asdict(snapshot)


def report(snapshot: Snapshot, width: int | None, colour: bool = False) -> str:
    """The whole page; `width` None cuts nothing."""
    return "\n".join("\n".join(_node(node, width, colour)) + "\n" for node in snapshot.nodes)


def _node(node: NodeView, width: int | None, colour: bool) -> list[str]:
    name = visible(node.node)
    lines = flow([paint(name, BOLD if colour else ""), *host_parts(node.host)], width, len(name))
    lines += _findings("What is wrong, worst first", _beside_the_driver(node, node.wrong), width, colour)
    lines += ["", *gpu_lines(node, width, colour)]
    if node.engines:
        lines += ["", _head("Engines", colour), *render(engine_columns(node.engines), width, colour)]
    missing = _beside_the_driver(node, node.missing)
    lines += _findings("What is missing and why", missing, width, colour)
    return lines


def _beside_the_driver(node: NodeView, findings: Sequence[Finding]) -> list[Finding]:
    """Where there is no GPU, its own line says why."""
    return [each for each in findings if node.gpus or each.subject != DRIVER]


def host_parts(host: HostView) -> list[str]:
    """What is known of the host, a phrase each."""
    parts = [host.kernel]
    if host.uptime_seconds is not None:
        parts.append(f"up {since(host.uptime_seconds)}")
    if host.cpus is not None:
        busy = f", {percent(host.cpu_busy_ratio)} busy" if host.cpu_busy_ratio is not None else ""
        parts.append(f"{host.cpus} CPU{'s' if host.cpus > 1 else ''}{busy}")
    loads = [load for load in (host.load1, host.load5, host.load15) if load is not None]
    if loads:
        parts.append("load " + " ".join(f"{load:.2f}" for load in loads))
    total, available = host.memory_total_bytes, host.memory_available_bytes
    if total and available is not None:
        used = total - available
        parts.append(f"memory {gibibytes(used, total)} ({percent(used / total)})")
    if host.fullest_used_ratio is not None:
        parts.append(f"fullest disk {host.fullest_mountpoint} {percent(host.fullest_used_ratio)}")
    return [visible(part) for part in parts if part]


def gpu_lines(node: NodeView, width: int | None, colour: bool) -> list[str]:
    """The GPUs, or why there are none."""
    if not node.gpus:
        code = "" if node.driver_state in ("absent", "ready", "released") else RED
        lines = textwrap.wrap(visible(_no_gpu(node)), width or 1 << 16)
        return [paint(line, code) if colour else line for line in lines]
    models = {gpu.model_name for gpu in node.gpus}
    whole = [gpu for gpu in node.gpus if not gpu.mig_profile] or node.gpus
    what = f"{len(whole)} x {models.pop()}" if len(models) == 1 else str(len(whole))
    driver = f", driver {node.driver_version}" if node.driver_version else ""
    head = visible(f"GPUs: {what}{driver}")
    return [_head(cut(head, width or len(head)), colour), *render(gpu_columns(node.gpus), width, colour)]


def gpu_columns(gpus: Sequence[GpuView]) -> list[Column]:
    """The columns of the GPUs' table; MODEL only where they differ."""
    several = len({gpu.model_name for gpu in gpus}) > 1
    columns = [
        Column("GPU", [_index(gpu) for gpu in gpus]),
        Column("STATE", [gpu.state for gpu in gpus], colours=_colours(gpus)),
        Column("UTIL", [percent(gpu.utilization_ratio) for gpu in gpus], 1, right=True),
        Column("SM", [percent(gpu.sm_active_ratio) for gpu in gpus], 4, right=True),
        Column(
            "MEMORY",
            [gibibytes(gpu.memory_used_bytes, gpu.memory_total_bytes) for gpu in gpus],
            1,
            right=True,
        ),
        Column("TEMP", [number(gpu.temperature_celsius, "C") for gpu in gpus], 1, right=True),
        Column("POWER", [watts(gpu.power_watts, gpu.power_limit_watts) for gpu in gpus], 2, right=True),
        Column("CLOCK", [_clock(gpu.sm_clock_hertz) for gpu in gpus], 6, right=True),
        Column("UUID", [short_uuid(gpu.uuid) for gpu in gpus], 5),
        Column("WHO", [who(gpu) for gpu in gpus], 3, flexible=True),
        Column("NOTES", [notes(gpu) for gpu in gpus], 7, flexible=True),
    ]
    if several:
        columns.insert(1, Column("MODEL", [gpu.model_name.removeprefix("NVIDIA ") for gpu in gpus], 4))
    return columns


def engine_columns(engines: Sequence[EngineView]) -> list[Column]:
    """The columns of the engines' table."""
    return [
        Column("INSTANCE", [engine.instance for engine in engines]),
        Column("ENGINE", [_kind(engine) for engine in engines], 2),
        Column(
            "STATE",
            [engine.state for engine in engines],
            colours={row: RED for row, engine in enumerate(engines) if engine.state != "up"},
        ),
        Column("RUNNING", [number(engine.requests_running) for engine in engines], 1, right=True),
        Column("WAITING", [number(engine.requests_waiting) for engine in engines], 1, right=True),
        Column("KV", [percent(engine.kv_cache_usage_ratio) for engine in engines], 1, right=True),
        Column(
            "TOKENS/S", [number(engine.generation_tokens_per_second) for engine in engines], 1, right=True
        ),
        Column(
            "TTFT", [number(engine.time_to_first_token_seconds, "s", 2) for engine in engines], 3, right=True
        ),
        Column("PROGRESS", [_ago(engine.progress_age_seconds) for engine in engines], 4),
        Column("MODEL", [engine.model_name or NOTHING for engine in engines], 5, flexible=True),
        Column("VERSION", [engine.version or NOTHING for engine in engines], 6),
    ]


def who(gpu: GpuView) -> str:
    """The pods that have it, else the processes."""
    if gpu.pods:
        return ", ".join(gpu.pods)
    return ", ".join(f"{process.pid} {process.name}".strip() for process in gpu.processes) or NOTHING


def notes(gpu: GpuView) -> str:
    """Clock reasons, XIDs and counters of errors."""
    xids = [
        f"XID {each.xid}" + (f" ({each.count} times)" if each.count > 1 else "")
        for each in sorted(gpu.xids, key=lambda each: each.xid)
    ]
    reasons = [reason for reason in gpu.clock_reasons if reason != "idle"]
    return ", ".join([*xids, *reasons, *gpu.notes])


def _index(gpu: GpuView) -> str:
    if not gpu.mig_profile:
        return gpu.gpu
    return f"{gpu.gpu}:{gpu.mig_instance} {gpu.mig_profile}"


def _colours(gpus: Sequence[GpuView]) -> dict[int, str]:
    found = {}
    for row, gpu in enumerate(gpus):
        if gpu.state != "up":
            found[row] = YELLOW if gpu.state in ("waiting", "unknown") else RED
        elif gpu.trouble:
            found[row] = YELLOW
    return found


def _clock(hertz: float | None) -> str:
    return number(None if hertz is None else hertz / _MHZ, "MHz")


def _kind(engine: EngineView) -> str:
    return engine.job if engine.engine in ("", "other") else engine.engine


def _ago(seconds: float | None) -> str:
    """Scrapes are seconds apart: less than that is no standstill."""
    if seconds is None:
        return NOTHING
    return "moves" if seconds < _STILL_SECONDS else f"{since(seconds)} ago"


def _no_gpu(node: NodeView) -> str:
    if node.driver_state == "absent":
        return f"No NVIDIA GPU on this node: {node.driver_reason or 'no driver'}. That is fine."
    if node.driver_state == "released":
        return f"The agent has let go of the NVIDIA driver: {node.driver_reason or 'it was told to'}."
    if node.driver_state == "ready":
        return "The NVIDIA driver lists no GPU."
    reason = f": {node.driver_reason}" if node.driver_reason else ""
    return f"No GPU is seen; the NVIDIA driver is {node.driver_state}{reason}."


def _findings(title: str, findings: Sequence[Finding], width: int | None, colour: bool) -> list[str]:
    if not findings:
        return []
    indent = max(len(visible(finding.subject)) for finding in findings)
    lines = ["", _head(title, colour)]
    for finding in findings:
        code = {"broken": RED, "warning": YELLOW}.get(finding.severity, "") if colour else ""
        lines += paragraph(finding.subject, finding.text, indent, width, code)
    return lines


def _head(text: str, colour: bool) -> str:
    return paint(text, BOLD) if colour else text


def flow(parts: Sequence[str], width: int | None, first: int) -> list[str]:
    """The parts in as few lines as they need; `first` is how wide the first one is without its colour."""
    lines, room = [parts[0]], first
    for part in parts[1:]:
        if width is not None and room + 2 + len(part) > width:
            lines.append(part)
            room = len(part)
        else:
            lines[-1] += f"  {part}"
            room += 2 + len(part)
    return lines
