"""The labels of a device's series: dcgm-exporter's for what it exports too, Fleetowl's for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from agent.gpu.protocol import Identity
from agent.pods.owner import Owner
from model.labels import Labels

HostLabel = Literal["Hostname", "hostname", "both"]

DEVICE = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION")
"""The label names of a device's series, for their declarations."""
OWN_DEVICE = tuple(name for name in DEVICE if name != "modelName")
"""Those of Fleetowl's own families; modelName is not spelled as Prometheus would have it."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "Hostname": ("Hostname",),
    "hostname": ("hostname",),
    "both": ("Hostname", "hostname"),
}


class Spelling:
    """Spells devices of one node.

    Source: dcgm-exporter internal/pkg/rendermetrics/render_metrics.go. A MIG instance has the labels of its
    GPU, the GPU's UUID included, and its profile and instance id besides.
    """

    def __init__(self, node: str, host_label: HostLabel) -> None:
        self._host = dict.fromkeys(_NAMES[host_label], node)

    def device(
        self, identity: Identity, gpu: Identity | None, driver: str, owners: Sequence[Owner] = ()
    ) -> Labels:
        """Of most families. `gpu` is the one that an instance is part of; an unknown driver has no label.

        A device that several containers share has no pod's labels: its values are nobody's alone.
        """
        whole = gpu or identity
        labels = {
            "gpu": str(identity["index"]),
            "UUID": whole["uuid"],
            "pci_bus_id": whole["pci_bus_id"],
            "device": f"nvidia{whole['minor']}",
            "modelName": whole["name"],
            **self._rest(identity, driver),
        }
        if len(owners) == 1:
            (owner,) = owners
            labels |= {"pod": owner.pod, "namespace": owner.namespace, "container": owner.container}
        return Labels(labels)

    def own(self, identity: Identity, gpu: Identity | None, driver: str) -> Labels:
        """Of Fleetowl's own families of a device, which are joined with dcgm-exporter's: without the model.

        And without a pod's labels: a GPU that is lost is the same GPU, whoever has it.
        """
        return self.device(identity, gpu, driver).without("modelName")

    def link(self, identity: Identity, gpu: Identity | None, driver: str) -> Labels:
        """Of the families of NVLinks, which spell the same otherwise; `nvlink` comes with each value."""
        whole = gpu or identity
        return Labels(
            {
                "gpu": str(identity["index"]),
                "gpu_uuid": whole["uuid"],
                "pci_bus_id": whole["pci_bus_id"],
                "device": f"nvidia{whole['minor']}",
                "model_name": whole["name"],
                **self._rest(identity, driver),
            }
        )

    def _rest(self, identity: Identity, driver: str) -> dict[str, str]:
        return {**self._host, "DCGM_FI_DRIVER_VERSION": driver, **_instance(identity)}


def own(identity: Identity) -> Labels:
    """`gpu` and `uuid`, as Fleetowl's own families have them; an instance's UUID is its own."""
    return Labels({"gpu": str(identity["index"]), "uuid": identity["uuid"]})


def _instance(identity: Identity) -> dict[str, str]:
    if not identity["parent"]:
        return {}
    labels = {"GPU_I_PROFILE": identity["profile"], "GPU_I_ID": str(identity["gpu_instance"])}
    if identity["compute_instance"] > 0:
        # dcgm-exporter does not tell the compute instances of one GPU instance apart; two series
        # with the same labels would be refused, so those after the first have a label more.
        labels["GPU_C_ID"] = str(identity["compute_instance"])
    return labels
