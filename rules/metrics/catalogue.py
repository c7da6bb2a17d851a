"""The catalogue of metrics: plain data from the YAML files beside this module.

It holds what the text format does not say (units, bucket edges, which version has a family, whether a
gauge is latched), for `rules lint` and for whoever answers a question about metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model.document import read_yaml

PARTS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    `unit` is "" if it counts nothing in particular; `ratio` is 0 to 1, `percent` 0 to 100. `buckets` are
    the edges of a histogram without +Inf, () if it has none or if they are not known.
    """

    name: str
    type: str
    """`counter`, `gauge` or `histogram`."""
    unit: str = ""
    help: str = ""
    source: str = ""
    engine: str = ""
    buckets: tuple[float, ...] = ()
    buckets_vary: bool = False
    """Whether servers of the same version have different edges."""
    latched: bool = False
    """Whether it keeps the last event for ever."""
    optional: str = ""
    """The option that it needs; "" if it is always there."""
    since: str = ""
    """The first version that has it, "" if that is not known."""
    gone: str = ""
    """The first version that has it no more, "" if it is still there."""
    now: str = ""
    """What took its place."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one file of the catalogue describes. Every name with its `prefix` is one of its own."""

    title: str
    engine: str
    newest: str
    prefix: str
    open: bool
    """Whether it has families that are not listed."""
    also: tuple[str, ...]

    def owns(self, name: str) -> bool:
        """Whether a metric of this name can come from nowhere else."""
        return bool(self.prefix) and name.startswith(self.prefix)


class Catalogue:
    """Families by name."""

    def __init__(
        self, families: Mapping[str, Family], sources: tuple[Source, ...], patterns: list[Any]
    ) -> None:
        self.families = families
        self.sources = sources
        self._patterns = [(re.compile(entry["name"]), entry) for entry in patterns]

    def family(self, name: str) -> Family | None:
        """The family that exposes this name: its own, or for a part of a histogram that one's.

        None if it is not known.
        """
        found = self.families.get(name)
        if found is not None:
            return found
        for part in PARTS:
            histogram = self.families.get(name.removesuffix(part)) if name.endswith(part) else None
            if histogram is not None and histogram.type == "histogram":
                return histogram
        for pattern, entry in self._patterns:
            if pattern.fullmatch(name):
                return _family(name, entry)
        return None

    def type_of(self, name: str) -> str:
        """`counter` or `gauge` for a series of this name, "" if neither the catalogue nor the name says so.

        >>> known = catalogue()
        >>> known.type_of("vllm:iteration_tokens_total_count"), known.type_of("vllm:kv_cache_usage_perc")
        ('counter', 'gauge')
        >>> known.type_of("requests_total"), known.type_of("cpu_usage_ratio"), known.type_of("something")
        ('counter', 'gauge', '')
        """
        found = self.family(name)
        if found is not None:
            return "counter" if found.type == "histogram" else found.type
        if name.endswith("_created") or _GAUGES.search(name):
            return "gauge"
        return "counter" if name.endswith(("_total", *PARTS)) else ""

    def exposed(self, engine: str) -> Iterator[str]:
        """Every name that an engine writes, parts of histograms one by one."""
        for family in self.families.values():
            if family.engine == engine:
                yield from (
                    (family.name + part for part in PARTS) if family.type == "histogram" else (family.name,)
                )


_GAUGES = re.compile(r"(_ratio|_percent|_percentage|_celsius|_info|:rate\d+[smhdw]|:increase\d+[smhdw])$")


@cache
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    families: dict[str, Family] = {}
    sources: list[Source] = []
    patterns: list[Any] = []
    for path in sorted(Path(__file__).parent.glob("*.yml")):
        document = read_yaml(path)
        engine, title = document.get("engine", ""), document["source"]
        sources.append(
            Source(
                title,
                engine,
                document.get("newest", ""),
                document.get("prefix", ""),
                document.get("open", False),
                tuple(document.get("also", ())),
            )
        )
        edges = document.get("buckets", {})
        for name, entry in document["families"].items():
            families[name] = _family(name, entry, title, engine, edges)
        patterns += document.get("patterns", ())
    return Catalogue(families, tuple(sources), patterns)


def _family(
    name: str,
    entry: Mapping[str, Any],
    source: str = "",
    engine: str = "",
    edges: Mapping[str, Any] | None = None,
) -> Family:
    known = {key: value for key, value in entry.items() if key not in ("name", "buckets")}
    buckets = entry.get("buckets", "")
    return Family(
        name,
        source=source,
        engine=engine,
        buckets=tuple(float(edge) for edge in (edges or {}).get(buckets, ())),
        buckets_vary=buckets == "varies",
        **known,
    )
