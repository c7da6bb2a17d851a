"""What is said of the way to the GPUs: the driver's state, each device's, hangs, and what is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.gpu.client import Condition
from agent.gpu.labels import OWN_DEVICE
from agent.gpu.presence import Device
from agent.gpu.protocol import DeviceReport, DeviceState, Sweep, Unmet
from agent.host import labelled
from model.metric import Metric, Sample

METRICS = (
    Metric(
        "fleetowl_gpu_up",
        "gauge",
        "1 if the driver answered for this GPU, 0 if it says that the GPU is gone or no longer lists it; "
        "absent while that is unknown, as when a call hangs or nothing but other errors come back.",
        OWN_DEVICE,
    ),
    Metric("fleetowl_gpu_driver_devices", "gauge", "GPUs that the driver lists, if known."),
    Metric(
        "fleetowl_gpu_status",
        "gauge",
        "Always 1; the state is ready, absent (no GPU: healthy), waiting, hung, failing or released.",
        ("state", "reason"),
    ),
    Metric(
        "fleetowl_gpu_device_status",
        "gauge",
        "Always 1; the state of a GPU or MIG instance is up, waiting, hung, lost or failing. Of an instance, "
        "which of its GPU's it is.",
        ("gpu", "uuid", "state", "reason", "mig_profile", "mig_instance"),
    ),
    Metric(
        "fleetowl_probe_hung",
        "gauge",
        "1 while a driver call does not return, for one GPU or, without gpu, for the driver as a whole. "
        "The call `probe` is the whole probe's silence.",
        ("gpu", "uuid", "call"),
    ),
    Metric(
        "fleetowl_probe_hung_seconds",
        "gauge",
        "For how long that call has not returned.",
        ("gpu", "uuid", "call"),
    ),
    Metric(
        "fleetowl_gpu_missing",
        "gauge",
        "Always 1; a family that GPUs (or MIG instances: device=mig) do not give, and why. "
        "With gpu where they do not all agree.",
        ("family", "device", "gpu", "reason"),
    ),
    Metric(
        "fleetowl_gpu_values_refused_total",
        "counter",
        "Values from the driver that no GPU can have (blank sentinels, 4294967295 %), dropped.",
        ("family",),
    ),
    Metric(
        "fleetowl_probe_restarts_total",
        "counter",
        "Probes begun anew, by why the one before ended: mismatch (driver upgrade), signal, failure, exit or "
        "silent.",
        ("reason",),
    ),
    Metric(
        "fleetowl_gpu_events_up",
        "gauge",
        "Whether the driver's events (XIDs) are heard; if not, why.",
        ("reason",),
    ),
)

_UP: Mapping[DeviceState, float] = {"up": 1.0, "waiting": 1.0, "lost": 0.0}


def condition_of(sweep: Sweep | None, otherwise: Condition) -> Condition:
    """The driver's state by its own account, else by what the client knows."""
    if sweep is None:
        return otherwise
    return Condition(sweep["state"], sweep["reason"], sweep["call"], sweep["seconds"])


def driver_samples(
    condition: Condition, sweep: Sweep | None, restarts: Mapping[str, int]
) -> Iterator[Sample]:
    """Of the driver as a whole."""
    status = labelled(("state", condition.state), ("reason", condition.reason))
    yield Sample("fleetowl_gpu_status", status, 1.0)
    if condition.state == "hung":
        yield from _hung(labelled(("call", condition.call)), condition.seconds)
    for reason, count in restarts.items():
        yield Sample("fleetowl_probe_restarts_total", labelled(("reason", reason)), float(count))
    if sweep is None:
        return
    if sweep["state"] == "absent":
        yield Sample("fleetowl_gpu_driver_devices", labelled(), 0.0)
    elif sweep["count"] >= 0:
        yield Sample("fleetowl_gpu_driver_devices", labelled(), float(sweep["count"]))
        heard = labelled(("reason", sweep["events"]))
        yield Sample("fleetowl_gpu_events_up", heard, float(not sweep["events"]))


def device_samples(device: Device, report: DeviceReport | None) -> Iterator[Sample]:
    """Of one device, under Fleetowl's own labels."""
    gpu, uuid = ("gpu", str(device.identity["index"])), ("uuid", device.identity["uuid"])
    status = labelled(gpu, uuid, ("state", device.state), ("reason", device.reason), *_instance(device))
    yield Sample("fleetowl_gpu_device_status", status, 1.0)
    if report is not None and report["state"] == "hung":
        yield from _hung(labelled(gpu, uuid, ("call", report["call"])), report["seconds"])


def unmet_samples(unmet: Sequence[Unmet], devices: Iterable[Device]) -> Iterator[Sample]:
    """Of GPUs that have not said who they are, as far as none that is missed had their index."""
    missed = {each.identity["index"] for each in devices if each.whole and each.state != "up"}
    for one in unmet:
        if one["index"] not in missed:
            gpu, state = ("gpu", str(one["index"])), ("state", one["state"])
            yield Sample("fleetowl_gpu_device_status", labelled(gpu, state, ("reason", one["reason"])), 1.0)


def _instance(device: Device) -> Iterator[tuple[str, str]]:
    """Joins an instance's UUID to the GPU_I_ID (and GPU_C_ID) of its DCGM_* series."""
    identity = device.identity
    if not device.whole:
        part = f"/{identity['compute_instance']}" if identity["compute_instance"] > 0 else ""
        yield "mig_profile", identity["profile"]
        yield "mig_instance", f"{identity['gpu_instance']}{part}"


def up_of(device: Device) -> float | None:
    """The value of fleetowl_gpu_up; None while it is unknown.

    A call that merely takes long says nothing new about the GPU; one that hangs makes what was known old.
    A GPU that answers other errors than that it is gone is not lost, unless it was.
    """
    if device.missed and device.state in ("waiting", "failing"):
        return 0.0
    return _UP.get(device.state)


def _hung(labels: Mapping[str, str], seconds: float) -> Iterator[Sample]:
    yield Sample("fleetowl_probe_hung", labels, 1.0)
    yield Sample("fleetowl_probe_hung_seconds", labels, seconds)


class Missing:
    """The families that devices do not give. Many GPUs of one model lack the same: that is one series."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, str, Mapping[str, str]]] = {}
        self._samples: list[Sample] = []
        self._changed = False

    def hear(self, device: Device, report: DeviceReport) -> None:
        """Take what a report says, if it says something."""
        if "missing" in report:
            kind, gpu = ("gpu" if device.whole else "mig"), str(device.identity["index"])
            self._of[device.identity["uuid"]] = (kind, gpu, report["missing"])
            self._changed = True

    def keep(self, uuids: Iterable[str]) -> None:
        """Forget the devices that are none of these."""
        gone = self._of.keys() - set(uuids)
        for uuid in gone:
            del self._of[uuid]
        self._changed |= bool(gone)

    def samples(self) -> list[Sample]:
        """One for each family and reason; for each GPU of them if not all of its kind say so."""
        if self._changed:
            self._samples, self._changed = [*self._summed()], False
        return self._samples

    def _summed(self) -> Iterator[Sample]:
        who: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        kinds: Counter[str] = Counter()
        gpus: defaultdict[str, set[str]] = defaultdict(set)
        for kind, gpu, families in self._of.values():
            kinds[kind] += 1
            gpus[kind].add(gpu)
            for family, reason in families.items():
                who[kind, family, reason].add(gpu)
        for (kind, family, reason), those in sorted(who.items()):
            labels = (("family", family), ("device", kind), ("reason", reason))
            for gpu in [""] if those == gpus[kind] else sorted(those):
                yield Sample("fleetowl_gpu_missing", labelled(*labels, ("gpu", gpu)), 1.0)


class Refused:
    """Values that no device can have. A probe counts from its own start, this over all of them."""

    def __init__(self) -> None:
        self._total: Counter[str] = Counter()
        self._last: dict[tuple[str, str], int] = {}

    def hear(self, report: DeviceReport) -> None:
        """Take a report's counts."""
        for family, count in report["refused"].items():
            before = self._last.get((report["uuid"], family), 0)
            self._total[family] += count - before if count >= before else count
            self._last[report["uuid"], family] = count

    def keep(self, uuids: Iterable[str]) -> None:
        """Forget the counts of devices that are none of these: of which the probe reports no more."""
        kept = set(uuids)
        for key in [key for key in self._last if key[0] not in kept]:
            del self._last[key]

    def samples(self) -> Iterator[Sample]:
        """By family."""
        for family, count in self._total.items():
            labels = labelled(("family", family))
            yield Sample("fleetowl_gpu_values_refused_total", labels, float(count))
