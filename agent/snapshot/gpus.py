"""The GPUs' rows: from DCGM_* and fleetowl_gpu_* series, each GPU told apart by UUID and MIG instance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.snapshot.facts import Facts, Row
from agent.snapshot.shape import GpuView, ProcessView, XidView
from agent.snapshot.trouble import COUNTERS, notes_of, trouble_of
from agent.snapshot.words import clock_reasons
from model.labels import Labels

_MIB = 1 << 20
_MHZ = 1_000_000

FIGURES = {
    "utilization_ratio": ("DCGM_FI_DEV_GPU_UTIL", 0.01),
    "sm_active_ratio": ("DCGM_FI_PROF_SM_ACTIVE", 1.0),
    "memory_used_bytes": ("DCGM_FI_DEV_FB_USED", _MIB),
    "temperature_celsius": ("DCGM_FI_DEV_GPU_TEMP", 1.0),
    "memory_temperature_celsius": ("DCGM_FI_DEV_MEMORY_TEMP", 1.0),
    "power_watts": ("DCGM_FI_DEV_POWER_USAGE", 1.0),
    "power_limit_watts": ("DCGM_FI_DEV_POWER_MGMT_LIMIT", 1.0),
    "sm_clock_hertz": ("DCGM_FI_DEV_SM_CLOCK", _MHZ),
    "memory_clock_hertz": ("DCGM_FI_DEV_MEM_CLOCK", _MHZ),
}
"""Field of GpuView: the family it is read from, and what that is multiplied by."""

STATUS = "fleetowl_gpu_device_status"
_IDENTITY = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_TEMP", "fleetowl_gpu_up", STATUS)
_PREFIXES = ("DCGM_", "fleetowl_gpu_", "fleetowl_xid_")
_UNMET = "?"
"""In front of the index of a GPU that has never said who it is."""
_STATES = ("lost", "hung", "failing", "waiting", "unknown", "up")

Key = tuple[str, str]
"""UUID and MIG instance (GPU_I_ID), the latter empty for a whole GPU."""


def key_of(labels: Labels) -> Key:
    """Which GPU a series is about, however it spells that."""
    uuid = labels.value("UUID") or labels.value("uuid") or labels.value("gpu_uuid")
    if not uuid and labels.name == STATUS:
        return _UNMET + labels.value("gpu"), ""
    instance, part = labels.value("GPU_I_ID"), labels.value("GPU_C_ID")
    return uuid, f"{instance}/{part}" if part else instance


def gpu_views(before: Facts | None, now: Facts) -> tuple[GpuView, ...]:
    """Every GPU that a series names, worst first."""
    older = _by_gpu(before, COUNTERS) if before is not None else {}
    names = [name for name in now.names if name.startswith(_PREFIXES)]
    views = [_view(key, older.get(key), own) for key, own in _by_gpu(now, names).items() if _identity(own)]
    return tuple(sorted(views, key=badness))


def _by_gpu(facts: Facts, names: Iterable[str]) -> dict[Key, Facts]:
    instances = _instances(facts)
    grouped: dict[Key, dict[str, list[Row]]] = {}
    for name in names:
        for row in facts.named(name):
            key = key_of(row[0])
            if key[0]:
                key = instances.get(key[0], key)
                grouped.setdefault(key, {}).setdefault(name, []).append(row)
    return {key: Facts.part(facts.at, rows) for key, rows in grouped.items()}


def _instances(facts: Facts) -> dict[str, Key]:
    """MIG instances by their own UUID: DCGM_* series have that of the GPU, and the instance's number."""
    rows = [labels for labels, _ in facts.named(STATUS)]
    whole = {labels.value("gpu"): labels.value("uuid") for labels in rows if not labels.value("mig_instance")}
    return {
        labels.value("uuid"): (whole[labels.value("gpu")], labels.value("mig_instance"))
        for labels in rows
        if labels.value("mig_instance") and labels.value("gpu") in whole
    }


def badness(gpu: GpuView) -> tuple[int, int, int, str]:
    """Sorts the worst first, then by index."""
    state = _STATES.index(gpu.state) if gpu.state in _STATES else 0
    number = int(gpu.gpu) if gpu.gpu.isdigit() else 1 << 16
    return state, -len(gpu.trouble), number, gpu.mig_instance


def _view(key: Key, before: Facts | None, own: Facts) -> GpuView:
    labels = _identity(own)
    state, reason = _state(own)
    bits = int(own.value("DCGM_FI_DEV_CLOCKS_EVENT_REASONS") or 0)
    view = GpuView(
        gpu=labels.value("gpu"),
        uuid="" if key[0].startswith(_UNMET) else key[0],
        model_name=labels.value("modelName"),
        pci_bus_id=labels.value("pci_bus_id"),
        mig_profile=labels.value("GPU_I_PROFILE") or labels.value("mig_profile"),
        mig_instance=key[1],
        state=state,
        reason=reason,
        clock_reasons=clock_reasons(bits),
        xids=_xids(own),
        pods=_pods(own),
        processes=_processes(own),
        memory_total_bytes=_memory_total(own),
        trouble=trouble_of(before, own),
        notes=notes_of(own),
    )
    return _with_figures(view, own)


def _with_figures(view: GpuView, own: Facts) -> GpuView:
    figures = {}
    for name, (family, factor) in FIGURES.items():
        value = own.value(family)
        figures[name] = None if value is None else value * factor
    return replace(view, **figures)  # type: ignore[arg-type] # the keys are names of float fields


def _identity(own: Facts) -> Labels:
    for name in _IDENTITY:
        for labels, _ in own.named(name):
            return labels
    return Labels()


def _state(own: Facts) -> tuple[str, str]:
    """The state that is named, else whether the driver answers for it."""
    for labels, value in own.named(STATUS):
        if value == 1:
            return labels.value("state") or "unknown", labels.value("reason")
    up = own.value("fleetowl_gpu_up")
    if up is None:
        return "up", ""  # another exporter, which has figures of it
    return ("up", "") if up else ("lost", "the driver does not answer for it")


def _memory_total(own: Facts) -> float | None:
    """dcgm-exporter has used, free and reserved; older drivers have no reserved."""
    used, free = own.value("DCGM_FI_DEV_FB_USED"), own.value("DCGM_FI_DEV_FB_FREE")
    if used is None or free is None:
        return None
    return (used + free + (own.value("DCGM_FI_DEV_FB_RESERVED") or 0.0)) * _MIB


def _xids(own: Facts) -> tuple[XidView, ...]:
    """Those that were counted, with the worst of the verdicts on them that still stands."""
    counts: dict[int, int] = {}
    for labels, value in own.named("fleetowl_xid_total"):
        code = labels.value("xid")
        if value > 0 and code.isdigit():
            counts[int(code)] = counts.get(int(code), 0) + int(value)
    if not counts:  # another exporter, which remembers only the last
        last = int(own.value("DCGM_FI_DEV_XID_ERRORS") or 0)
        counts = {last: 1} if last > 0 else {}
    tiers: dict[int, str] = {}
    for labels, _ in own.named("fleetowl_xid_last_timestamp_seconds"):
        code, tier = labels.value("xid"), labels.value("tier")
        if code.isdigit() and tier and not labels.value("cancelled_by"):
            tiers[int(code)] = min(tiers.get(int(code), tier), tier)
    return tuple(XidView(code, counts[code], tiers.get(code, "")) for code in sorted(counts))


def _pods(own: Facts) -> tuple[str, ...]:
    found = {
        "/".join(labels.value(part) for part in ("namespace", "pod", "container")).rstrip("/")
        for name in own.names
        for labels, _ in own.named(name)
        if labels.value("pod")
    }
    return tuple(sorted(found))


def _processes(own: Facts) -> tuple[ProcessView, ...]:
    views = [
        ProcessView(int(labels.value("pid")), labels.value("process"), value)
        for labels, value in own.named("fleetowl_gpu_process_memory_bytes")
        if labels.value("pid").isdigit()
    ]
    return tuple(sorted(views, key=lambda process: -(process.memory_bytes or 0.0)))
