"""NVIDIA GPUs through NVML; a node without them is healthy and says why it has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from agent.host import Host, labelled
from agent.nvml import METRICS, Driver, NoGPU, load_nvml
from agent.registry import Collector, register
from agent.worker import DeadlinePassed, StillBusy, Worker
from model.metric import Metric, Sample

_DEADLINE = 0.3
_HUNG_SECONDS = 5.0  # a driver without persistence mode takes seconds to wake up
_RETRY_SECONDS = 30.0


@register("gpu")
class Gpu(Collector):
    """Utilisation, memory, temperature, power and clocks of each GPU.

    The driver is called in a worker thread: when it hangs, the state says so (`hung`) and the rest
    of the agent goes on. A hung driver says nothing about the GPUs, so neither does this collector.
    """

    metrics = (
        *METRICS,
        Metric("fleetowl_gpu_count", "gauge", "GPUs that the driver lists; absent while that is unknown."),
        Metric(
            "fleetowl_gpu_status",
            "gauge",
            "Always 1; the state is ready, absent (no GPU: healthy), waiting, hung or failing.",
            ("state", "reason"),
        ),
    )

    def __init__(
        self,
        host: Host,
        load: Callable[[], Any] = load_nvml,
        deadline: float = _DEADLINE,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(host)
        self._load = load
        self._deadline = deadline
        self._timer = timer
        self._worker = Worker("nvml")
        self._driver: Driver | None = None
        self._absent = ""
        self._retry_at = float("-inf")
        self._called_at = 0.0

    def collect(self) -> list[Sample]:
        """The state, the count where it is known, and the readings of each GPU that answers."""
        if self._absent and self._timer() < self._retry_at:
            return self._no_gpu(self._absent)
        if not self._worker.busy:
            self._called_at = self._timer()
        try:
            return [_status("ready", ""), *self._worker.call(self._sweep, self._deadline)]
        except NoGPU as nothing:
            self._absent, self._retry_at = str(nothing), self._timer() + _RETRY_SECONDS
            return self._no_gpu(self._absent)
        except (DeadlinePassed, StillBusy):
            hung = self._timer() - self._called_at >= _HUNG_SECONDS
            return [_status("hung" if hung else "waiting", "a driver call has not returned")]
        # NVMLError's class exists only once the module is loaded, and a half-installed driver raises
        # what it likes; all of it means that the driver failed, which is a state to report.
        except Exception as error:
            self._driver = None
            return [_status("failing", f"{type(error).__name__}: {error}")]

    def _sweep(self) -> list[Sample]:
        """In the worker thread."""
        if self._driver is None:
            self._driver = Driver(self._load(), self.host.node)
        self._absent = ""
        return self._driver.sweep()

    @staticmethod
    def _no_gpu(reason: str) -> list[Sample]:
        return [Sample("fleetowl_gpu_count", labelled(), 0.0), _status("absent", reason)]


def _status(state: str, reason: str) -> Sample:
    return Sample("fleetowl_gpu_status", labelled(("state", state), ("reason", reason)), 1.0)
