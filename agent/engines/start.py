"""Cold start: from the start of an engine's process to its first readiness, and loads that came to nothing.

An engine that loads its model shows no page and mostly does not even listen, so a start is first seen as a
refused connection. The page tells later when its process began, where it tells that at all (vLLM with several
API servers does not). What was ready when the agent first saw it has no cold start that anyone could tell.
"""

from __future__ import annotations

from enum import Enum

from model.labels import Labels
from model.metric import Metric, Sample

START_TIME = "fleetowl_engine_start_time_seconds"
COLD_START = "fleetowl_engine_cold_start_seconds"
LOAD_FAILURES = "fleetowl_engine_load_failures_total"
METRICS = (
    Metric(
        START_TIME,
        "gauge",
        "When the engine's process began, in unixtime: by its page, else by its container, else the first "
        "refused connection.",
        ("job", "instance"),
    ),
    Metric(
        COLD_START,
        "gauge",
        "Seconds from the start of the engine's process to its first readiness; grows while it is not ready.",
        ("job", "instance", "model_name"),
    ),
    Metric(
        LOAD_FAILURES,
        "counter",
        "Engines that answered or whose container ran, and that were gone before they were ready.",
        ("job", "instance"),
    ),
)
_NONE = Labels()


class Phase(Enum):
    """Where a process is on its way."""

    UNSEEN = "unseen"
    STARTING = "starting"
    READY = "ready"


class ColdStart:
    """Of one instance. Times are seconds of unixtime; what happens is told as it is seen."""

    def __init__(self, started: float | None = None) -> None:
        self.phase = Phase.UNSEEN
        self.failures = 0
        self.answering = False
        """While starting: whether it has answered anything at all."""
        self._container = started
        self._since = 0.0
        self._process: float | None = None
        self._before: tuple[float | None, float | None] = (None, None)
        self._ready_at: float | None = None
        self._seconds: float | None = None

    def refused(self, now: float) -> None:
        """Nobody listens."""
        if self.phase is Phase.STARTING and self.answering:
            self.failures += 1
            self._begin(now)
        elif self.phase is Phase.READY:
            self._before = (self._process, self._seconds)
            self._begin(now)
        elif self.phase is Phase.UNSEEN:
            self._begin(now if self._container is None else self._container)

    def not_ready(self, now: float, has_served: bool = False) -> None:
        """It answers, and says that it is not ready.

        One that has served before the agent saw it first is not about to start: something else is wrong.
        """
        if self.phase is Phase.UNSEEN and has_served:
            self.phase = Phase.READY
        if self.phase is Phase.UNSEEN:
            self._begin(now if self._container is None else self._container, self._process)
        if self.phase is Phase.STARTING:
            self.answering = True

    def scraped(self, now: float, process: float | None) -> None:
        """Its page came; it may tell when the process began."""
        if self.phase is Phase.STARTING:
            self.answering = True
        if process is None or process == self._process:
            return
        if process == self._before[0]:
            # It was never gone, only out of reach.
            self.phase = Phase.READY
            self._process, self._seconds = self._before
            return
        replaced, self._process = self._process is not None, process
        if self.phase is Phase.STARTING and replaced:
            self.failures += 1
        elif self.phase is Phase.READY and replaced:
            self._begin(now, process)
        elif self.phase is Phase.READY and self._ready_at is not None:
            self._seconds = max(0.0, self._ready_at - process)

    def container(self, started: float) -> None:
        """The pod's container began, maybe anew."""
        again = self._container is not None and started != self._container
        self._container = started
        if again:
            self.failures += self.phase is Phase.STARTING
            self._begin(started)

    def ready(self, now: float) -> None:
        """It is ready to serve."""
        if self.phase is Phase.STARTING:
            self._ready_at = now
            self._seconds = max(0.0, now - self._started())
        self.phase = Phase.READY

    def samples(self, now: float, model_name: str) -> list[Sample]:
        """As of `now`."""
        found = [Sample(LOAD_FAILURES, _NONE, float(self.failures))]
        starting = self.phase is Phase.STARTING
        if starting or self._process is not None or self._seconds is not None:
            found.append(Sample(START_TIME, _NONE, self._started()))
        seconds = max(0.0, now - self._started()) if starting else self._seconds
        if seconds is not None:
            found.append(Sample(COLD_START, Labels({"model_name": model_name}), seconds))
        return found

    def _started(self) -> float:
        return self._since if self._process is None else self._process

    def _begin(self, since: float, process: float | None = None) -> None:
        self.phase, self._since, self._process = Phase.STARTING, since, process
        self.answering, self._ready_at = process is not None, None
