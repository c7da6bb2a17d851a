"""Which engine it is, which version, which models and LoRA adapters it serves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from agent.engines.digest import Digest
from model.labels import Labels
from model.metric import Metric, Sample

INFO = "fleetowl_engine_info"
LORA = "fleetowl_engine_lora_info"
METRICS = (
    Metric(
        INFO,
        "gauge",
        "Always 1; the kind of an engine, its version and a model that it serves; pod, namespace and replica "
        "where its pod was discovered.",
        ("job", "instance", "engine_kind", "engine_version", "model_name", "pod", "namespace", "replica"),
    ),
    Metric(
        LORA,
        "gauge",
        "Always 1; a LoRA adapter that has requests, running or waiting.",
        ("job", "instance", "adapter", "state"),
    ),
)
_MOST_ADAPTERS = 64
_LONGEST = 200
_STATES = (("running", "running_lora_adapters"), ("waiting", "waiting_lora_adapters"))


class Inventory:
    """Of one instance."""

    def __init__(self) -> None:
        self._key: object = None
        self._info: list[Sample] = []

    def samples(self, kind: str, version: str, models: Sequence[str]) -> list[Sample]:
        """The engine and each of its models; what is unknown is empty."""
        key = (kind, version, tuple(models))
        if key != self._key:
            self._key = key
            engine = {"engine_kind": kind or "other", "engine_version": version}
            self._info = [
                Sample(INFO, Labels({**engine, "model_name": model}), 1.0) for model in models or ("",)
            ]
        return self._info


def adapters(digest: Digest, values: Sequence[float]) -> Iterable[Sample]:
    """The LoRA adapters that have requests now.

    vLLM makes a new series each time that the lists of names change, with the time as its value; the old
    ones stay on its page, so the newest counts.
    """
    if not digest.lora:
        return
    _, labels = max(digest.lora, key=lambda found: values[found[0]])
    left = _MOST_ADAPTERS
    for state, label in _STATES:
        names = sorted({name.strip() for name in labels.value(label).split(",")} - {""})[:left]
        left -= len(names)
        for name in names:
            yield Sample(LORA, Labels({"adapter": name[:_LONGEST], "state": state}), 1.0)


def version_in(body: bytes) -> str:
    """The version in a JSON answer, empty if it tells none.

    >>> version_in(b'{"version": "0.32.0"}')
    '0.32.0'
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    version = document.get("version") if isinstance(document, dict) else None
    return version[:_LONGEST] if isinstance(version, str) else ""
