"""The host as a source of readings: its collectors in a thread, and what happens when one hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from agent.host import Host
from agent.reading import Naming, Reading
from agent.registry import Outcome, Round, collectors_for
from agent.settings import AgentSettings
from agent.worker import DeadlinePassed, Worker
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

_SHORTEST_DEADLINE = 2.0


class HostSource:
    """Runs the collectors of this node, a round a tick, in a worker thread.

    A round that does not end in time is left behind in its thread together with the collector that it
    is in; the others go on in a new round, and the hung one joins again when its call has returned.
    """

    def __init__(
        self,
        settings: AgentSettings,
        own_samples: Callable[[], Iterable[Sample]],
        own_metrics: Sequence[Metric],
        host: Host | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self.interval = settings.interval
        self.exported = True
        self._host = host or host_of(settings)
        self._own_samples = own_samples
        self._own_metrics = own_metrics
        self._timer = timer
        self._deadline = max(_SHORTEST_DEADLINE, settings.interval * 0.8 / 1000)
        self._naming = Naming({"job": settings.job, "instance": settings.node, "node": settings.node})
        self._types: dict[str, str] = {}
        self._hung: dict[str, Worker] = {}
        self._begin()

    def _begin(self) -> None:
        disable = (*self._settings.collectors.disable, *self._hung)
        collectors = collectors_for(self._host, disable)
        self._round = Round(self._host, collectors, self._timer)
        self._worker = Worker("collect")

    def metrics(self) -> list[Metric]:
        """The families that the host's readings may hold, known so far."""
        return [*self._round.metrics(), *self._own_metrics]

    async def read(self, at: int) -> Reading:
        """All collectors' samples as of `at` (ms), and the agent's own."""
        self._take_back()
        try:
            samples = await self._worker.call_async(self._round.collect, self._deadline)
        except DeadlinePassed:
            samples = []
            self._leave_behind()
        samples += [*self._hung_samples(), *self._own_samples()]
        families = self.metrics()
        if len(families) != len(self._types):
            self._types = {metric.name: metric.type for metric in families}
        return self._naming.reading(samples, self._types, at)

    async def close(self) -> None:
        """Let the threads end; one that hangs does when its call returns."""
        self._worker.close(self._round.close)

    def _leave_behind(self) -> None:
        culprit = self._round.current
        if culprit is None:
            return  # it has just ended
        log.warning("the collector %s hangs; the others go on without it", culprit.name)
        self._hung[culprit.name] = self._worker
        self._worker.close(self._round.close)
        # The thread that hangs still holds the old host and collectors, so the others get new ones.
        self._host = self._host.again()
        self._begin()

    def _take_back(self) -> None:
        returned = [name for name, worker in self._hung.items() if not worker.busy]
        for name in returned:
            log.info("the collector %s has returned", name)
            del self._hung[name]
        if returned:
            self._worker.close(self._round.close)
            self._begin()

    def _hung_samples(self) -> Iterable[Sample]:
        for name in self._hung:
            outcome = Outcome("hung", "an earlier call has not returned")
            labels = Labels({"collector": name, "state": outcome.state, "reason": outcome.reason})
            yield Sample("fleetowl_collector_success", Labels({"collector": name}), 0.0)
            yield Sample("fleetowl_collector_status", labels, 1.0)


def host_of(settings: AgentSettings) -> Host:
    """The host that the settings describe."""
    return Host(settings.node, settings.procfs, settings.sysfs, settings.rootfs)
