"""Which container has which GPU, kept up to date in the background; and when nothing is known, why."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from agent.pods.device import find
from agent.pods.held import Devices, Held
from agent.pods.kubelet import Failure, NoAnswer, ask
from agent.pods.owner import Owner
from agent.pods.resources import Grant, grants
from agent.pods.settings import PodSettings
from model.labels import Labels
from model.metric import Metric, Sample
from model.moment import format_duration
from wire.protobuf import MalformedMessage

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric(
        "fleetowl_pod_attribution_status",
        "gauge",
        "Always 1; ok, no_gpu_pods, no_kubelet and, at first, waiting are healthy; stale: the last answer is "
        "kept for three intervals; permission_denied, timeout and error: the kubelet names no owner.",
        ("state", "reason"),
    ),
    Metric(
        "fleetowl_gpu_pod_info",
        "gauge",
        "Always 1; a container that has this GPU, and how: exclusive, time-sliced, mps, mig, dra, by-process "
        "(the kubelet does not answer, and a process of the container is on it).",
        ("gpu", "uuid", "pod", "namespace", "container", "share"),
    ),
    Metric(
        "fleetowl_pod_devices_unknown",
        "gauge",
        "Devices that the kubelet gave to pods and the driver does not list, by resource.",
        ("resource",),
    ),
)

KEPT_INTERVALS = 3
"""For so long a good answer is believed after the kubelet has fallen silent."""

State = Literal["waiting", "ok", "no_gpu_pods", "stale"] | Failure
Share = Literal["exclusive", "time-sliced", "mps", "mig", "dra"]
Ask = Callable[[], Awaitable[bytes]]

_NAMED = 3  # resources that a reason lists


class Status(NamedTuple):
    """How the attribution stands, and a sentence about it."""

    state: State
    reason: str

    @property
    def healthy(self) -> bool:
        """Nothing is wrong, whether or not there are pods."""
        return self.state in ("waiting", "ok", "no_gpu_pods", "no_kubelet")


class Holding(NamedTuple):
    """A container that has a device, and how."""

    owner: Owner
    share: Share


class Attribution:
    """Asks the kubelet every interval, and answers from memory. `timer` gives seconds."""

    def __init__(
        self,
        settings: PodSettings,
        devices: Devices,
        question: Ask | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._ask = question or (lambda: ask(settings.socket, settings.timeout / 1000))
        self._timer = timer
        self._grants: list[Grant] = []
        self._others: set[str] = set()
        self._answered_at: float | None = None
        self._holdings: dict[str, list[Holding]] = {}
        self._owners: dict[str, tuple[Owner, ...]] = {}
        self._unknown: dict[str, int] = {}
        self.status = Status("waiting", "the kubelet has not been asked yet")

    async def run(self) -> None:
        """Ask for ever. The agent cancels it."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._settings.interval / 1000)

    async def refresh(self) -> None:
        """Ask once. Whatever goes wrong is a status."""
        try:
            answer = await self._ask()
            # A node with many pods answers with megabytes, which take a while to read.
            found = await asyncio.to_thread(grants, answer)
        except NoAnswer as error:
            self._fail(error.failure, error.reason)
        except MalformedMessage as error:
            self._fail("error", f"the kubelet's answer cannot be read: {error}")
        # The supervisor boundary: a fault of ours must not end the questions.
        except Exception as error:
            log.exception("asking the kubelet failed")
            self._fail("error", f"{type(error).__name__}: {error}")
        else:
            self._accept(found)

    @property
    def answered(self) -> bool:
        """Whether the kubelet's word stands: what it says of no pod, no pod was given."""
        return self.status.state in ("ok", "no_gpu_pods", "stale")

    def owners(self, uuid: str) -> Sequence[Owner]:
        """The containers that have a device, sorted."""
        return self._owners.get(uuid, ())

    def holdings(self, uuid: str) -> Sequence[Holding]:
        """The same, with how they share it."""
        return self._holdings.get(uuid, ())

    def samples(self) -> list[Sample]:
        """The status, who has what, and what matches nothing; the devices are looked up anew."""
        known = self._devices()
        self._resolve(known)
        found = [Sample("fleetowl_pod_attribution_status", Labels(self.status._asdict()), 1.0)]
        for uuid, holdings in sorted(self._holdings.items()):
            gpu = str(known[uuid].identity["index"]) if uuid in known else ""
            for owner, share in holdings:
                labels = {"gpu": gpu, "uuid": uuid, "share": share, **owner._asdict()}
                found.append(Sample("fleetowl_gpu_pod_info", Labels(labels), 1.0))
        for resource, count in sorted(self._unknown.items()):
            labels = {"resource": resource}
            found.append(Sample("fleetowl_pod_devices_unknown", Labels(labels), float(count)))
        return found

    def _accept(self, found: Iterable[Grant]) -> None:
        self._grants, self._others = [], set()
        for grant in found:
            if any(fnmatchcase(grant.resource, pattern) for pattern in self._settings.resources):
                self._grants.append(grant)
            else:
                self._others.add(grant.resource)
        self._answered_at = self._timer()
        self._resolve(self._devices())
        if self._grants:
            self._become(Status("ok", ""))
        else:
            self._become(Status("no_gpu_pods", self._why_none()))

    def _why_none(self) -> str:
        wanted = ", ".join(self._settings.resources)
        if not self._others:
            return f"no pod has {wanted}"
        named = ", ".join(sorted(self._others)[:_NAMED]) + (", ..." if len(self._others) > _NAMED else "")
        return f"no pod has {wanted}; pods have {named}: if that is a GPU, add it to agent.pods.resources"

    def _fail(self, failure: Failure, reason: str) -> None:
        keep = KEPT_INTERVALS * self._settings.interval
        if self._answered_at is not None and self._timer() - self._answered_at < keep / 1000:
            self._become(
                Status("stale", f"{failure}: {reason}; the last answer is kept for {format_duration(keep)}")
            )
            return
        self._grants = []
        self._resolve({})
        self._become(Status(failure, reason))

    def _become(self, status: Status) -> None:
        before = self.status
        if _essence(status) == _essence(before):
            return
        self.status = status
        if not status.healthy:
            log.warning("which pod has which GPU: %s: %s", status.state, status.reason)
        elif not before.healthy:
            log.info("which pod has which GPU is known again (%s)", status.state)
        elif status.reason:
            log.info("which pod has which GPU: %s: %s", status.state, status.reason)

    def _resolve(self, known: Mapping[str, Held]) -> None:
        """Find the device of each grant among those that the driver lists now."""
        identities = [held.identity for held in known.values()]
        holdings: dict[str, dict[Owner, Share]] = {}
        unknown: dict[str, int] = {}
        for grant in self._grants:
            found = find(grant, identities)
            if known and (found is None or found.uuid not in known):
                unknown[grant.resource] = unknown.get(grant.resource, 0) + 1
            if found is None:
                continue
            share = _share(grant, found.replica, known.get(found.uuid))
            holdings.setdefault(found.uuid, {})[grant.owner] = share
        self._unknown = unknown
        self._holdings = {
            uuid: [Holding(*each) for each in sorted(owners.items())] for uuid, owners in holdings.items()
        }
        self._owners = {uuid: tuple(each.owner for each in owners) for uuid, owners in self._holdings.items()}


def _essence(status: Status) -> tuple[str, str]:
    """A server's words may hold a time or an address that is another with each answer, which is no news."""
    return status.state, re.sub(r"[0-9a-fx]*[0-9][0-9a-fx]*", "#", status.reason)


def _share(grant: Grant, replica: bool, held: Held | None) -> Share:
    if grant.claimed:
        return "dra"
    if replica or grant.resource.endswith(".shared"):
        # The ids of both are alike; who runs through MPS says which it is.
        mps = held is not None and any(process["kind"] == "mps" for process in held.processes or ())
        return "mps" if mps else "time-sliced"
    mig = grant.device.startswith("MIG-") or (held is not None and bool(held.identity["parent"]))
    return "mig" if mig else "exclusive"
