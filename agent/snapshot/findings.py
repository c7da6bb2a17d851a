"""What is wrong, and what is not seen and why: each with its reason and, where there is one, the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.snapshot.facts import Facts
from agent.snapshot.shape import EngineView, Finding, GpuView, Severity
from agent.snapshot.words import counted, short_uuid

_STATUS = re.compile(r"fleetowl_(?P<what>[a-z_]+)_status")
_OF_ENTITIES = frozenset(
    {"fleetowl_gpu_device_status", "fleetowl_engine_status", "fleetowl_collector_status"}
)
"""Status families that are about one GPU, engine or collector: these have sentences of their own."""

_FINE = frozenset({"ok", "ready", "up", "reading", "no_gpu_pods"})
_NOTHING_THERE = frozenset({"absent", "no data", "off", "no_kubelet", "released"})
"""States that say that there is nothing to see, which is healthy."""
_PASSING = frozenset({"waiting", "starting", "stale", "limited", "unknown"})
"""States that need a look if they stay."""

DRIVER = "NVIDIA driver"
"""Subject of what the driver's state says."""

_SUBJECTS = {"gpu": DRIVER, "pod_attribution": "pods"}
_FOR_GPUS = frozenset({"kernel_log", "pod_attribution"})
"""What is looked at only to know more of GPUs: without one nothing is missed."""
_ORDER: dict[Severity, int] = {"broken": 0, "warning": 1, "note": 2}

_URGENT_XIDS: dict[str, Severity] = {"P0": "broken", "P1": "broken", "P2": "warning"}
_FATAL_XIDS = frozenset({46, 48, 54, 62, 64, 74, 79, 95, 109, 119, 120, 136, 140, 143})
"""After which a GPU is not to be trusted until it was reset (NVIDIA's XID catalogue): for other exporters,
which tell no tier."""


def wrong(now: Facts, gpus: Iterable[GpuView], engines: Iterable[EngineView]) -> tuple[Finding, ...]:
    """What needs a person, worst first."""
    driver = [each for each in _statuses(now, ("gpu",), gpus=True) if each.severity != "note"]
    found = [
        *driver,
        *_counts(now),
        *(each for gpu in gpus for each in _of_gpu(gpu)),
        *(each for engine in engines for each in _of_engine(engine)),
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))


def missing(now: Facts, *, gpus: bool) -> tuple[Finding, ...]:
    """What is not seen, and why: worst first. `gpus`: whether the node has any."""
    names = [match["what"] for name in now.names if (match := _STATUS.fullmatch(name))]
    driver = [each for each in _statuses(now, ("gpu",), gpus) if each.severity == "note"]
    found = [
        *_silent(now),
        *driver,
        *_statuses(now, [name for name in names if name != "gpu"], gpus),
        *_events(now),
        *_families(now),
        *_unattributed(now),
        *_collectors(now),
    ]
    return tuple(sorted(found, key=lambda each: _ORDER[each.severity]))


def _of_gpu(gpu: GpuView) -> Iterator[Finding]:
    subject = f"GPU {gpu.gpu}" + (f" instance {gpu.mig_instance}" if gpu.mig_instance else "")
    if gpu.state == "lost" and gpu.uuid:  # the others are numbered anew, so its index may be another's
        subject += f" ({short_uuid(gpu.uuid)})"
    if gpu.state != "up":
        yield Finding(_severity(gpu.state), subject, _said(gpu.state, gpu.reason))
    for xid in gpu.xids:
        severity = _URGENT_XIDS.get(xid.tier)
        if severity is None and not xid.tier and xid.xid in _FATAL_XIDS:
            severity = "broken"
        if severity is not None:
            times = f" {xid.count} times" if xid.count > 1 else ""
            yield Finding(severity, subject, f"reported XID {xid.xid}{times}")
    for words in gpu.trouble:
        yield Finding("warning", subject, words)


def _of_engine(engine: EngineView) -> Iterator[Finding]:
    if engine.state != "up":
        subject = f"engine {engine.job} at {engine.instance}"
        yield Finding(_severity(engine.state), subject, _said(engine.state, engine.reason))


def _silent(now: Facts) -> Iterator[Finding]:
    """An agent that pushes is a target of the analyzer whose instance is its node."""
    for labels, up in now.named("up"):
        if labels.value("node") and labels.value("instance") == labels.value("node") and not up:
            yield Finding("broken", "agent", "silent: nothing is heard from it; what is shown of it is old")


def _statuses(now: Facts, names: Iterable[str], gpus: bool) -> Iterator[Finding]:
    for what in names:
        name = f"fleetowl_{what}_status"
        for labels, value in now.named(name) if name not in _OF_ENTITIES else ():
            state, reason = labels.value("state"), labels.value("reason")
            if value == 1 and state not in _FINE:
                severity: Severity = "note" if what in _FOR_GPUS and not gpus else _severity(state)
                yield Finding(severity, _SUBJECTS.get(what, what.replace("_", " ")), _said(state, reason))


def _counts(now: Facts) -> Iterator[Finding]:
    """A GPU that is on the bus and that the driver does not list."""
    present, listed = now.value("fleetowl_gpu_pci_devices"), now.value("fleetowl_gpu_driver_devices")
    if present is not None and listed is not None and present > listed:
        text = f"lists {listed:.0f} of the {counted(present, 'GPU')} on the PCI bus"
        yield Finding("broken", DRIVER, text)


def _events(now: Facts) -> Iterator[Finding]:
    for labels, value in now.named("fleetowl_gpu_events_up"):
        if value == 0:
            reason = labels.value("reason")
            yield Finding("broken", "driver's events", f"XIDs are not heard at once: {reason}")


def _families(now: Facts) -> Iterator[Finding]:
    """What GPUs do not give: one line a reason."""
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for labels, _ in now.named("fleetowl_gpu_missing"):
        key = (labels.value("reason"), labels.value("device"), labels.value("gpu"))
        by_reason.setdefault(key, []).append(labels.value("family"))
    for (reason, device, gpu), families in by_reason.items():
        subject = "MIG instances" if device == "mig" else f"GPU {gpu}" if gpu else "GPUs"
        yield Finding("note", subject, f"{reason}: {', '.join(sorted(families))}")


def _unattributed(now: Facts) -> Iterator[Finding]:
    for labels, value in now.named("fleetowl_gpu_unattributed"):
        if value == 1:
            text = f"no pod is known to use it: {labels.value('reason')}"
            yield Finding("note", f"GPU {labels.value('gpu')}", text)


def _collectors(now: Facts) -> Iterator[Finding]:
    for labels, value in now.named("fleetowl_collector_status"):
        state, reason = labels.value("state"), labels.value("reason")
        if value == 1 and state not in _FINE:
            yield Finding(_severity(state), f"collector {labels.value('collector')}", _said(state, reason))


def _said(state: str, reason: str) -> str:
    words = state.replace("_", " ")
    return f"{words}: {reason}" if reason else words


def _severity(state: str) -> Severity:
    if state in _NOTHING_THERE:
        return "note"
    return "warning" if state in _PASSING else "broken"
