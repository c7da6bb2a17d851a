"""Which entity a series is of, by its labels, and what labels the results about an entity have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from model.labels import NAME, Labels
from model.topology import GPU_LABELS, NODE_LABELS, POD_LABELS

Key = tuple[str, ...]

_NODE = ("exported_node", *NODE_LABELS, "node_name", "nodename", "host")
_CLUSTER = ("cluster",)
_PLACE = ("job", "instance", "namespace")
_ENGINE = ("engine", "model_name", "served_model_name", "model", "ReplicaId", "dp_rank", "tp_rank", "pp_rank")

_VOLATILE = (
    NAME,
    # Whoever uses a GPU now: another pod does not make another GPU of it.
    *(f"{prefix}{name}" for prefix in ("", "exported_") for name in ("pod", "namespace", "container")),
    "pod_uid",
    "vgpu",
    "hpc_job",
    "DCGM_FI_DRIVER_VERSION",
)
_OF_SERIES = (
    NAME, "le", "quantile", "reason", "finished_reason", "sleep_state", "status", "handler", "method",
    "is_streaming", "nvlink", "err_code", "cpu", "mode", "device", "mountpoint", "fstype", "port",
    "chip", "sensor",
)  # fmt: skip


def key_of(kind: str, labels: Mapping[str, str]) -> Key | None:
    """The entity of this kind that a label set speaks of, None if it names none.

    >>> key_of("gpu", {"UUID": "GPU-7", "gpu": "0", "Hostname": "n1", "pod": "a"})
    ('GPU-7', '')
    >>> key_of("node", {"instance": "n1:9100"})
    ('', 'n1')
    """
    if kind == "gpu":
        return _gpu(labels)
    if kind == "node":
        node = _node(labels)
        return (_first(labels, _CLUSTER), node) if node else None
    place = place_of(labels)
    return (*place, *(labels.get(name, "") for name in _ENGINE)) if any(place) else None


def place_of(labels: Mapping[str, str]) -> Key:
    """Where an engine listens: all engines there share what the server tells of itself."""
    pod = _first(labels, POD_LABELS)
    return (_first(labels, _CLUSTER), *(labels.get(name, "") for name in _PLACE), pod)


def print_of(kind: str, key: Key) -> int:
    """A number for an entity that outlives restarts; 63 bits of a hash."""
    digest = hashlib.blake2b("\0".join((kind, *key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def labels_of(kind: str, series: Labels) -> Labels:
    """What a result about the entity of this series is labelled with, besides its own name."""
    dropped = _VOLATILE if kind == "gpu" else _OF_SERIES
    if kind == "gpu" and "gpu_uuid" in series:
        dropped = (*dropped, "nvlink")
    return series.without(*dropped).merged({"entity": kind})


def class_of(labels: Mapping[str, str], names: Sequence[str]) -> str:
    """What entities that are alike have in common."""
    return _first(labels, names)


def _gpu(labels: Mapping[str, str]) -> Key | None:
    instance = labels.get("GPU_I_ID", "")
    uuid = _first(labels, GPU_LABELS)
    if uuid:
        return (uuid, instance)
    node, index = _node(labels), labels.get("gpu", "")
    return (_first(labels, _CLUSTER), node, index, instance) if node and index else None


def _node(labels: Mapping[str, str]) -> str:
    named = _first(labels, _NODE)
    if named:
        return named
    instance = labels.get("instance", "")
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() else instance


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
