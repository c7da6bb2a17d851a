"""Collectors: what one is, how it registers itself, and the round that asks them all.

A collector is one class in one file of agent/collectors/, registered by a decorator (node_exporter's
habit). The round times each, says whether it succeeded, and lets none harm another: one that fails
is reported and the rest go on, one that hangs is left behind in its thread until it returns.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from agent.host import Host, NoData
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric(
        "fleetowl_collector_success",
        "gauge",
        "Whether a collector succeeded; one that has nothing to read here is fine.",
        ("collector",),
    ),
    Metric(
        "fleetowl_collector_duration_seconds",
        "gauge",
        "How long a collector took in this round.",
        ("collector",),
    ),
    Metric(
        "fleetowl_collector_status",
        "gauge",
        "Always 1; says why a collector says nothing: no data, failed or hung.",
        ("collector", "state", "reason"),
    ),
)


class Collector(ABC):
    """One source of samples on this node."""

    name: ClassVar[str]
    metrics: Sequence[Metric] = ()
    """The families it may yield; one whose names depend on the kernel extends this as it meets them."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    def collect(self) -> Iterable[Sample]:
        """The samples of this moment. Raises NoData if there is nothing; any other exception is a failure."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of threads. It is not asked again."""


_registered: dict[str, type[Collector]] = {}
_Class = TypeVar("_Class", bound=type[Collector])


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator: make a collector known under `name`."""

    def remember(cls: _Class) -> _Class:
        cls.name = name
        _registered[name] = cls
        return cls

    return remember


def discover() -> Mapping[str, type[Collector]]:
    """Every collector by name, sorted; imports all of agent/collectors/."""
    import agent.collectors

    for module in pkgutil.iter_modules(agent.collectors.__path__):
        importlib.import_module(f"agent.collectors.{module.name}")
    return dict(sorted(_registered.items()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a collector fared in its last round."""

    state: str
    """`ok`, `no data`, `failed` or `hung`."""
    reason: str = ""

    @property
    def healthy(self) -> bool:
        """Nothing to read is healthy; failing and hanging is not."""
        return self.state in ("ok", "no data")


class Round:
    """Asks each collector in turn. Not for use by several threads at a time.

    `timer` gives seconds that never run backwards.
    """

    def __init__(
        self, host: Host, collectors: Iterable[Collector], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._timer = timer
        self.collectors = list(collectors)
        self.outcomes: dict[str, Outcome] = {}
        self.current: Collector | None = None
        """The one that is being asked right now; where a round hangs, this is the culprit."""
        self._labels = {each.name: Labels({"collector": each.name}) for each in self.collectors}

    def collect(self) -> list[Sample]:
        """The samples of all collectors, how each fared and how long it took."""
        self._host.begin_round()
        samples: list[Sample] = []
        for collector in self.collectors:
            self.current = collector
            started = self._timer()
            samples += self._ask(collector)
            seconds = self._timer() - started
            samples.append(
                Sample("fleetowl_collector_duration_seconds", self._labels[collector.name], seconds)
            )
        self.current = None
        samples += self._reports()
        return samples

    def close(self) -> None:
        """Let all collectors go. Not while one is being asked."""
        for collector in self.collectors:
            collector.close()

    def metrics(self) -> list[Metric]:
        """The families of all collectors and of the framework itself."""
        return [*METRICS, *(metric for collector in self.collectors for metric in collector.metrics)]

    def _ask(self, collector: Collector) -> list[Sample]:
        try:
            samples = list(collector.collect())
            self._note(collector.name, Outcome("ok"))
            return samples
        except NoData as nothing:
            self._note(collector.name, Outcome("no data", str(nothing)))
        # The supervisor boundary: whatever a collector does wrong stays with that collector.
        except Exception as error:
            self._note(collector.name, Outcome("failed", f"{type(error).__name__}: {error}"))
        return []

    def _note(self, name: str, outcome: Outcome) -> None:
        before = self.outcomes.get(name)
        self.outcomes[name] = outcome
        if outcome == before:
            return
        if not outcome.healthy:
            log.warning("the collector %s is %s: %s", name, outcome.state, outcome.reason)
        elif before is not None and not before.healthy:
            log.info("the collector %s works again", name)
        elif outcome.state != "ok":
            log.info("the collector %s has nothing to read: %s", name, outcome.reason)

    def _reports(self) -> Iterable[Sample]:
        for name, outcome in self.outcomes.items():
            yield Sample("fleetowl_collector_success", self._labels[name], float(outcome.healthy))
            if outcome.state != "ok":
                labels = Labels({"collector": name, "state": outcome.state, "reason": outcome.reason})
                yield Sample("fleetowl_collector_status", labels, 1.0)


def collectors_for(host: Host, disable: Collection[str]) -> list[Collector]:
    """All collectors but those disabled."""
    return [cls(host) for name, cls in discover().items() if name not in disable]
