"""50,000 distinct alerts by API, and one P0 in their middle: how fast, how large, at what cost."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.agent.processes import usage
from bench.alerts.contenders import Contender, Fleetowl, RealAlertmanager
from bench.alerts.webhook import Heard, Webhook, told

BATCH = 1000
PER_GROUP = 100
NAMES = 5
MIB = 1 << 20
PATIENCE = 60.0
P0 = {"alertname": "ServiceDown", "tier": "P0", "severity": "critical", "model_name": "llama-70b"}
_NOW = b'"startsAt": "NOW"'


@dataclass(frozen=True)
class Variant:
    """So many alerts, and how they are grouped."""

    name: str
    count: int
    group_by: tuple[str, ...]


VARIANTS = (
    Variant("50k in 500 groups", 50_000, ("alertname", "node")),
    Variant("10k in one group", 10_000, ()),
    Variant("10k without grouping", 10_000, ("...",)),
)


@dataclass
class Storm:
    """What came of it; seconds since the first POST, MiB."""

    accepted: float
    posting_cpu: float
    first_p0: float | None
    """Since the POST of the P0."""
    delivered: float | None
    idle_pss: float
    peak_pss: float
    peak_rss: float
    largest: int
    posts: int
    cpu: float

    @property
    def growth(self) -> float:
        """PSS over idle, MiB."""
        return self.peak_pss - self.idle_pss


def alerts(count: int) -> Iterator[dict[str, Any]]:
    """8 labels, 2 annotations, a runbook: about 410 B each, in groups of PER_GROUP."""
    for number in range(count):
        group, member = divmod(number, PER_GROUP)
        name, node = group % NAMES, group // NAMES
        yield {
            "labels": {
                "alertname": f"StormAlert{name}",
                "node": f"gpu-node-{node:03d}",
                "instance": f"gpu-node-{node:03d}:9400",
                "job": "dcgm",
                "gpu": str(member % 8),
                "namespace": "serving",
                "severity": "warning",
                "check": f"c{member:03d}",
            },
            "annotations": {
                "summary": f"Something is wrong with gpu-node-{node:03d} in the storm",
                "description": f"The value of check {member} has left its usual range for five minutes",
                "runbook_url": f"https://runbooks.example/StormAlert{name}",
            },
            "generatorURL": f"https://prometheus.example/graph?g0.expr=storm{name}",
            "startsAt": "NOW",
        }


def batches(count: int) -> list[bytes]:
    """Bodies of BATCH alerts, encoded before the clock runs."""
    whole = list(alerts(count))
    return [json.dumps(whole[first : first + BATCH]).encode() for first in range(0, count, BATCH)]


def stamped(body: bytes) -> bytes:
    """With the moment of sending as the start."""
    return body.replace(_NOW, b'"startsAt": "%s"' % rfc3339(time.time()).encode())


def rfc3339(seconds: float) -> str:
    """To the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configuration(hook: str, group_by: tuple[str, ...]) -> dict[str, Any]:
    """The same for both."""
    route = {"receiver": "hook", "group_by": list(group_by), "group_wait": "1s", "group_interval": "5s"}
    return {"route": route, "receivers": [{"name": "hook", "webhook_configs": [{"url": hook}]}]}


def contender(kind: type[Contender], folder: Path, hook: str, variant: Variant) -> Contender:
    """Ours has what its default configuration has: P0 first, 64 KiB payloads, topology, flapping."""
    plain = configuration(hook, variant.group_by)
    if kind is Fleetowl:
        return Fleetowl(folder, {**plain, "fleetowl": {}})
    return RealAlertmanager(folder, plain)


class _Memory(threading.Thread):
    """Watches PSS and RSS of a process five times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pss = self.rss = 0.0
        self._pid, self._over = pid, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.pss = max(self.pss, usage(self._pid).pss_mb * 1e6 / MIB)
            self.rss = max(self.rss, _rss(self._pid))

    def end(self) -> None:
        self._over.set()
        self.join()


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(kind: type[Contender], variant: Variant) -> Storm:
    """One storm on a fresh process."""
    bodies = batches(variant.count)
    with (
        tempfile.TemporaryDirectory(prefix="bench-storm-") as folder,
        Webhook() as hook,
        contender(kind, Path(folder), hook.url, variant) as process,
    ):
        time.sleep(3)  # what it does at its start is not the storm's
        idle = usage(process.pid).pss_mb * 1e6 / MIB
        memory, before = _Memory(process.pid), process.cpu()
        memory.start()
        began, accepted, p0_at = _post(process, bodies)
        posting_cpu = process.cpu() - before
        heard = _wait(hook, variant.count + 1)
        cpu = process.cpu() - before
        memory.end()
    delivered = delivered_at(heard, variant.count + 1)
    first = first_p0(heard)
    return Storm(
        accepted - began,
        posting_cpu,
        None if first is None else first - p0_at,
        None if delivered is None else delivered - began,
        idle,
        memory.pss,
        memory.rss,
        max(each.size for each in heard),
        len(heard),
        cpu,
    )


def _post(process: Contender, bodies: list[bytes]) -> tuple[float, float, float]:
    """When the first POST began, the last was answered, and the P0 was posted (by another sender)."""
    poster, sent = process.connection(), []
    began = time.time()

    def urgent() -> None:
        other = process.connection()
        sent.append(time.time())
        other.send([{"labels": P0, "startsAt": rfc3339(time.time())}])
        other.close()

    thread = threading.Thread(target=urgent)
    for number, body in enumerate(bodies):
        if number == len(bodies) // 2:
            thread.start()
        poster.post(stamped(body))
    accepted = time.time()
    thread.join()
    poster.close()
    return began, accepted, sent[0]


def _wait(hook: Webhook, count: int) -> list[Heard]:
    """Everything that was heard, once all is delivered or patience ends."""
    deadline, seen = time.monotonic() + PATIENCE, -1
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = hook.count()
        if now == seen:
            heard = hook.heard()
            if delivered_at(heard, count) is not None and first_p0(heard) is not None:
                return heard
        seen = now
    return hook.heard()


def delivered_at(heard: list[Heard], count: int) -> float | None:
    """When every alert had been listed in a message or counted in its `truncatedAlerts`."""
    groups: dict[str, int] = {}
    total = 0
    for each in heard:
        key = each.body["groupKey"]
        known = len(each.body["alerts"]) + each.body.get("truncatedAlerts", 0)
        if known > groups.get(key, 0):
            total += known - groups.get(key, 0)
            groups[key] = known
        if total >= count:
            return each.at
    return None


def first_p0(heard: list[Heard]) -> float | None:
    """When the P0 was first told."""
    for each in heard:
        if any(alert["labels"].get("tier") == "P0" for alert in told(each)):
            return each.at
    return None
