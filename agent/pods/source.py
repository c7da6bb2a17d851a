"""Who uses the GPUs, as a source of readings: the kubelet's word, the processes, and what does not fit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from agent.pods import attribution, processes
from agent.pods.attribution import Ask, Attribution
from agent.pods.containers import ContainerNames
from agent.pods.held import Held, Latest
from agent.pods.owner import Owner
from agent.pods.processes import OUTSIDE, UNSEEN, ProcessTable, Use
from agent.reading import Naming, Reading
from agent.settings import AgentSettings
from agent.worker import DeadlinePassed, StillBusy, Worker
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric(
        "fleetowl_gpu_unattributed",
        "gauge",
        "Always 1; processes have memory of this GPU, and why no container is known to have it.",
        ("gpu", "uuid", "reason"),
    ),
    Metric(
        "fleetowl_pod_processes_hung",
        "gauge",
        "1 while reading procfs or the kubelet's log folders hangs; nothing is said of processes then.",
    ),
)

FAMILIES = (*attribution.METRICS, *processes.METRICS, *METRICS)
"""All that its readings may hold."""

_DEADLINE = 2.0  # seconds, where the interval leaves room
_NOT_ASKED = "a pod uses it that was not given it"


class PodSource:
    """Give `owners` and the companion `latest` to the GPU source, whose devices it names the owners of.

    Where the kubelet does not answer, a device belongs to the containers whose processes are on it: the share
    is `by-process` then, and who has a GPU without using it is not seen.
    """

    exported = True

    def __init__(
        self,
        settings: AgentSettings,
        question: Ask | None = None,
        latest: Latest | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = settings.pods.interval
        self.latest = latest or Latest(max(10.0, 3 * settings.interval / 1000), timer)
        self.attribution = Attribution(settings.pods, self.latest.devices, question, timer)
        self._table = ProcessTable(
            settings.procfs,
            ContainerNames(settings.rootfs, timer),
            settings.pods.processes_shown,
            timer,
        )
        self._deadline = min(_DEADLINE, self.interval * 0.8 / 1000)
        self._naming = Naming({"job": settings.job, "instance": settings.node, "node": settings.node})
        self._types = {metric.name: metric.type for metric in FAMILIES}
        self._by_process: dict[str, tuple[Owner, ...]] = {}
        self._unattributed: dict[str, str] = {}
        self._hung = False
        self._worker = Worker("processes")
        self._asking: asyncio.Task[None] | None = None

    def metrics(self) -> Iterable[Metric]:
        """The families that its readings may hold."""
        return FAMILIES

    def owners(self, uuid: str) -> Sequence[Owner]:
        """The containers that have a device, sorted; from memory, at once."""
        return self.attribution.owners(uuid) or self._by_process.get(uuid, ())

    async def read(self, at: int) -> Reading:
        """Who has the GPUs and who is on them as of `at` (ms)."""
        if self._asking is None:
            self._asking = asyncio.create_task(self.attribution.run())
        devices = self.latest.devices()
        samples = self.attribution.samples()
        try:
            uses = await self._worker.call_async(
                lambda: self._table.uses(devices, self.attribution.owners), self._deadline
            )
        except (DeadlinePassed, StillBusy):
            self._note_hung(True)
        else:
            self._note_hung(False)
            samples += self._table.samples(devices, uses)
            samples += self._users(devices, uses)
        samples.append(Sample("fleetowl_pod_processes_hung", Labels(), float(self._hung)))
        return self._naming.reading(samples, self._types, at)

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self._worker.close()

    def _users(self, devices: Mapping[str, Held], uses: Sequence[Use]) -> Iterator[Sample]:
        """What the processes say about the devices that the kubelet said nothing of."""
        by_device: dict[str, list[Use]] = {}
        for use in uses:
            if not self.attribution.owners(use.uuid):
                by_device.setdefault(use.uuid, []).append(use)
        known = {} if self.attribution.answered else _owners_of(by_device)
        why = {uuid: self._why(those) for uuid, those in by_device.items() if uuid not in known}
        self._note_unattributed(why)
        self._by_process = known
        for uuid, owners in known.items():
            for owner in owners:
                labels = {**_device(devices[uuid]), **owner._asdict(), "share": "by-process"}
                yield Sample("fleetowl_gpu_pod_info", Labels(labels), 1.0)
        for uuid, reason in why.items():
            labels = {**_device(devices[uuid]), "reason": reason}
            yield Sample("fleetowl_gpu_unattributed", Labels(labels), 1.0)

    def _why(self, uses: Sequence[Use]) -> str:
        reasons = {use.reason for use in uses}
        if reasons <= {OUTSIDE}:
            return "its processes run outside Kubernetes"
        if not self.attribution.answered:
            return f"kubelet: {self.attribution.status.state}"
        if reasons <= {UNSEEN, OUTSIDE}:
            return "its processes are not in this procfs: the agent needs the host's (hostPID)"
        return _NOT_ASKED

    def _note_unattributed(self, why: dict[str, str]) -> None:
        for uuid, reason in why.items():
            if self._unattributed.get(uuid) != reason:
                # On a node without a kubelet that is so, and no news.
                level = logging.DEBUG if self.attribution.status.state == "no_kubelet" else logging.INFO
                log.log(level, "no pod is known to have the GPU %s: %s", uuid, reason)
        self._unattributed = why

    def _note_hung(self, hung: bool) -> None:
        if hung and not self._hung:
            log.warning("reading the processes on the GPUs hangs; what is said of them is missing")
        elif self._hung and not hung:
            log.info("the processes on the GPUs are read again")
        self._hung = hung


def _device(held: Held) -> dict[str, str]:
    return {"gpu": str(held.identity["index"]), "uuid": held.identity["uuid"]}


def _owners_of(by_device: Mapping[str, Sequence[Use]]) -> dict[str, tuple[Owner, ...]]:
    found = {
        uuid: tuple(sorted({use.owner for use in uses if use.owner is not None}))
        for uuid, uses in by_device.items()
    }
    return {uuid: owners for uuid, owners in found.items() if owners}
