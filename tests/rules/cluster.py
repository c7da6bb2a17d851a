"""Virtual clusters for rule tests: a window, captures scraped into it, and an engine that steps over it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.alert import Alert
from model.labels import Labels
from model.moment import SECOND
from rules.engine import RuleEngine
from rules.group import RuleGroup
from telemetry.ingest import TargetIngest
from telemetry.window import Window

START = 1_795_176_000_000


@dataclass
class Cluster:
    """A window that tests write into at virtual times, and the rules over it."""

    groups: Sequence[RuleGroup] = ()
    interval: int = SECOND
    window: Window = field(default_factory=Window)
    started_at: int = START

    def __post_init__(self) -> None:
        self.engine = RuleEngine(self.window, self.groups, self.started_at)
        self.firing: list[Alert] = []
        self.fired: list[Alert] = []
        self.resolved: list[Alert] = []
        self._ids: dict[tuple[int, Labels], int] = {}

    def write(self, at: int, samples: dict[str, float], interval: int = 0) -> None:
        """Samples at `at`, keyed by selectors such as `up{job="x"}`."""
        interval = interval or self.interval
        target = self.window.target(f"test/{interval}", interval)
        ids = []
        for text in samples:
            labels = labels_of(text)
            key = interval, labels
            if key not in self._ids:
                self._ids[key] = self.window.series(target, labels)
            ids.append(self._ids[key])
        self.window.append(target, at, np.array(ids, dtype=np.int64), np.array(list(samples.values())))

    def stale(self, at: int, *names: str, interval: int = 0) -> None:
        """Stale markers, as a scrape writes where series have vanished."""
        interval = interval or self.interval
        target = self.window.target(f"test/{interval}", interval)
        ids = np.array([self._ids[interval, labels_of(name)] for name in names], dtype=np.int64)
        self.window.mark_stale(target, at, ids)

    def step(self, now: int) -> list[Alert]:
        """One tick; keeps book of what began to fire and what resolved, the dead man's signal apart."""
        self.window.advance(now)
        before = {alert.labels for alert in self.firing}
        alerts = [alert for alert in self.engine.step(now) if alert.name != "Watchdog"]
        self.firing = [alert for alert in alerts if alert.ends_at is None]
        self.resolved += [alert for alert in alerts if alert.ends_at is not None]
        self.fired += [alert for alert in self.firing if alert.labels not in before]
        return alerts

    def run(
        self,
        seconds: int,
        samples: Callable[[int], dict[str, float]],
        begin: int = START,
        interval: int = 0,
    ) -> int:
        """Write `samples(second)` and step at each scrape; answers with the time after."""
        interval = interval or self.interval
        for second in range(seconds):
            now = begin + second * SECOND
            if (second * SECOND) % interval == 0:
                self.write(now, samples(second), interval)
                self.step(now)
        return begin + seconds * SECOND

    def names(self) -> set[str]:
        """The alerts that fire now."""
        return {alert.name for alert in self.firing}


_PAIR = re.compile(r'(\w+)="([^"]*)"')


def labels_of(text: str) -> Labels:
    """The label set that a plain selector spells."""
    name, _, inner = text.partition("{")
    return Labels({"__name__": name, **dict(_PAIR.findall(inner))})


@dataclass
class Endpoint:
    """An engine whose /metrics is the latest of some captures; it is gone from `until` on."""

    instance: str
    bodies: list[tuple[int, bytes]]
    until: int = 1 << 62

    def body(self, at: int) -> bytes | None:
        if at >= self.until:
            return None
        return [body for time, body in self.bodies if time <= at][-1] if at >= self.bodies[0][0] else None


def captures(folder: Path, shift: int = 0) -> list[tuple[int, bytes]]:
    """The captures of a folder and their times, `shift` ms later."""
    return [(int(path.stem) + shift, path.read_bytes()) for path in sorted(folder.glob("*.prom"))]


def merged(first: list[tuple[int, bytes]], second: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """One instance with two engines: all of the first as engine 0, the engine series of the second as 1."""
    one, other = Endpoint("", first), Endpoint("", second)
    times = sorted(time for time, _ in first + second if one.body(time) and other.body(time))
    bodies = []
    for time in times:
        lines = (other.body(time) or b"").replace(b'engine="0"', b'engine="1"').splitlines()
        extra = [line for line in lines if b'engine="1"' in line]
        bodies.append((time, b"\n".join([(one.body(time) or b"").rstrip(b"\n"), *extra, b""])))
    return bodies


@dataclass
class Scrape:
    """How endpoints are scraped: interval and jitter in ms, and which share of the scrapes is lost."""

    interval: int = SECOND
    jitter: int = 0
    missed: float = 0.0
    seed: int = 0


def replay(cluster: Cluster, endpoints: Iterable[Endpoint], begin: int, end: int, scrape: Scrape) -> None:
    """Scrape the endpoints from `begin` to `end` and step each second, all at virtual times."""
    chance = random.Random(scrape.seed)
    plan: list[tuple[int, Endpoint, TargetIngest]] = []
    for endpoint in endpoints:
        labels = Labels({"job": "vllm", "instance": endpoint.instance})
        ingest = TargetIngest(cluster.window, f"vllm/{endpoint.instance}", scrape.interval, labels)
        offset = chance.randrange(scrape.interval)
        for due in range(begin + offset, end, scrape.interval):
            if chance.random() >= scrape.missed:
                plan.append((due + chance.randint(-scrape.jitter, scrape.jitter), endpoint, ingest))
    plan.sort(key=lambda entry: entry[0])
    kinds = {
        f'fleetowl_target_kind{{job="vllm",instance="{e.instance}",kind="engine"}}': 1.0 for e in endpoints
    }
    for now in range(begin, end, SECOND):
        while plan and plan[0][0] <= now:
            at, endpoint, ingest = plan.pop(0)
            cluster.window.advance(now)
            body = endpoint.body(at)
            ingest.fail(at, "connection refused") if body is None else ingest.ingest(body, at)
        cluster.write(now, kinds)
        cluster.step(now)
