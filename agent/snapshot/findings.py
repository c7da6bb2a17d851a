"""What is wrong, and what is not seen and why: each with its reason and, where there is one, the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.snapshot.facts import Facts
from agent.snapshot.shape import EngineView, Finding, GpuView, Severity

_STATUS = re.compile(r"fleetowl_(?P<what>[a-z_]+)_status")
_OF_ENTITIES = frozenset(
    {"fleetowl_gpu_device_status", "fleetowl_engine_status", "fleetowl_collector_status"}
)
"""Status families that are about one GPU, engine or collector: these have sentences of their own."""

_FINE = frozenset({"ok", "ready", "up", "reading", "listening"})
_NOTHING_THERE = frozenset({"absent", "no data", "off", "disabled", "unsupported", "starting"})
"""States that say that there is nothing to see, which is healthy."""

DRIVER = "NVIDIA driver"
"""Subject of what the driver's state says."""

_SUBJECTS = {"gpu": DRIVER, "kernel_log": "kernel log", "pods": "pods", "xid": "XIDs"}
_ORDER: dict[Severity, int] = {"broken": 0, "warning": 1, "note": 2}

_FATAL_XIDS = frozenset({46, 48, 54, 62, 64, 74, 79, 95, 109, 119, 120, 136, 140, 143})
"""After which a GPU is not to be trusted until it was reset (NVIDIA's XID catalogue)."""


def wrong(gpus: Iterable[GpuView], engines: Iterable[EngineView]) -> tuple[Finding, ...]:
    """What needs a person, worst first."""
    found = [*(each for gpu in gpus for each in _of_gpu(gpu)), *(f for e in engines for f in _of_engine(e))]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))


def missing(now: Facts) -> tuple[Finding, ...]:
    """What is not seen, and why: worst first."""
    return tuple(sorted([*_statuses(now), *_collectors(now)], key=lambda each: _ORDER[each.severity]))


def _of_gpu(gpu: GpuView) -> Iterator[Finding]:
    subject = f"GPU {gpu.gpu}" + (f" instance {gpu.mig_instance}" if gpu.mig_instance else "")
    if gpu.state != "up":
        severity: Severity = "warning" if gpu.state in ("waiting", "unknown") else "broken"
        yield Finding(severity, subject, f"{gpu.state}: {gpu.reason}" if gpu.reason else gpu.state)
    fatal = [xid for xid in gpu.xids if xid.xid in _FATAL_XIDS]
    if fatal:
        yield Finding("broken", subject, "reported " + ", ".join(f"XID {each.xid}" for each in fatal))
    for words in gpu.trouble:
        yield Finding("warning", subject, words)


def _of_engine(engine: EngineView) -> Iterator[Finding]:
    if engine.state != "up":
        severity: Severity = "warning" if engine.state == "unknown" else "broken"
        text = f"{engine.state}: {engine.reason}" if engine.reason else engine.state
        yield Finding(severity, f"engine {engine.job} at {engine.instance}", text)


def _statuses(now: Facts) -> Iterator[Finding]:
    for name in now.names:
        found = _STATUS.fullmatch(name)
        if found is None or name in _OF_ENTITIES:
            continue
        for labels, value in now.named(name):
            state, reason = labels.value("state"), labels.value("reason")
            if value == 1 and state not in _FINE:
                what = found["what"]
                subject = _SUBJECTS.get(what, what.replace("_", " "))
                yield Finding(_severity(state), subject, f"{state}: {reason}" if reason else state)


def _collectors(now: Facts) -> Iterator[Finding]:
    for labels, value in now.named("fleetowl_collector_status"):
        state, reason = labels.value("state"), labels.value("reason")
        if value == 1 and state not in _FINE:
            yield Finding(_severity(state), f"collector {labels.value('collector')}", f"{state}: {reason}")


def _severity(state: str) -> Severity:
    if state in _NOTHING_THERE:
        return "note"
    return "warning" if state == "waiting" else "broken"
