"""The kinds of entities: which features make one up, and how its series are told from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from detectors.entity.feature import Feature, Part, parts_of
from detectors.entity.tables.engine import ENGINE
from detectors.entity.tables.gpu import GPU
from detectors.entity.tables.node import NODE
from wire.aliases import aliases_of


@dataclass(frozen=True)
class Kind:
    """`classed` is the label by which alike entities are pooled; "" for one pool of all.

    An entity of which all features of `idle` that it has are 0 has nothing to do: how it behaves then says
    nothing of how it works.
    """

    name: str
    features: tuple[Feature, ...]
    classed: Sequence[str]
    idle: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What its features are made of, each once."""
        return parts_of(self.features)

    @cached_property
    def names(self) -> list[str]:
        """Of its features, in their order."""
        return [feature.name for feature in self.features]

    @cached_property
    def idle_columns(self) -> list[int]:
        """The numbers of the features that tell whether it is idle."""
        return [self.names.index(name) for name in self.idle]

    @cached_property
    def idle_parts(self) -> tuple[Part, ...]:
        """What these features are made of."""
        return parts_of([self.features[place] for place in self.idle_columns])

    @cached_property
    def by_metric(self) -> Mapping[str, Sequence[tuple[int, Mapping[str, str]]]]:
        """By metric the numbers of the parts that its series may belong to, and the labels they need."""
        found: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
        for place, part in enumerate(self.parts):
            found.setdefault(part.metric, []).append((place, {}))
            for alias in aliases_of(part.metric):
                found.setdefault(alias.name, []).append((place, dict(alias.matchers)))
        return found

    @property
    def metrics(self) -> Sequence[str]:
        """Names of all metrics that are looked at, those of other engines included."""
        return list(self.by_metric)

    def places(self, metric: str, labels: Mapping[str, str]) -> Iterator[int]:
        """The parts that a series belongs to, by their numbers."""
        for place, needed in self.by_metric.get(metric, ()):
            if all(labels.get(name) == value for name, value in needed.items()) and self.parts[place].takes(
                labels
            ):
                yield place


KINDS = (
    Kind("gpu", GPU, ("modelName", "model_name"), ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE")),
    Kind(
        "engine",
        ENGINE,
        ("model_name", "served_model_name", "model"),
        ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:generation_tokens_total"),
    ),
    Kind("node", NODE, ()),
)
