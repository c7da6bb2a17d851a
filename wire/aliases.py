"""What the families of vLLM are called in other engines and in older versions of vLLM.

Rules are written with the names of vLLM 0.32; a selector of one of them also finds its aliases. A server
may expose a family under its old and its new name at once, so an evaluator takes the alias only for a
label set that the canonical name does not have, as `vllm:new or vllm:old` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model.document import read_yaml

PARTS = ("_bucket", "_sum", "_count")
"""What a histogram is exposed as."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A name in another engine; with `matchers`, only its series with these labels."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    engine: str

    def __str__(self) -> str:
        labels = ", ".join(f'{label}="{value}"' for label, value in self.matchers)
        return f"{self.name}{{{labels}}}" if labels else self.name


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Names that look like aliases and are none."""

    engine: str
    names: tuple[str, ...]
    why: str


def aliases_of(name: str) -> tuple[Alias, ...]:
    """The aliases of a canonical name, of a family or of a part of a histogram; () if it has none.

    >>> [str(alias) for alias in aliases_of("vllm:num_requests_waiting")][:2]
    ['sglang:num_queue_reqs', 'trtllm_num_requests_waiting']
    """
    return exposed().get(name, ())


def canonical(name: str, labels: Mapping[str, str] | None = None) -> str | None:
    """The canonical name that `name` with these labels is an alias of; None if it is no alias.

    >>> canonical("sglang:time_to_first_token_seconds_bucket")
    'vllm:time_to_first_token_seconds_bucket'
    >>> canonical("nv_trt_llm_request_metrics", {"request_type": "waiting"})
    'vllm:num_requests_waiting'
    """
    known = labels or {}
    for alias, family in _by_alias().get(name, ()):
        if all(known.get(label) == value for label, value in alias.matchers):
            return family
    return None


def families() -> dict[str, str]:
    """The type (`gauge`, `counter` or `histogram`) of each canonical family."""
    return {name: str(entry["type"]) for name, entry in _document()["families"].items()}


def engines() -> dict[str, str]:
    """What each engine is called in a text, by its key."""
    return dict(_document()["engines"])


def left_out() -> tuple[LeftOut, ...]:
    """What is no alias though it looks like one."""
    return tuple(
        LeftOut(entry["engine"], tuple(entry["names"]), entry["why"]) for entry in _document()["left_out"]
    )


def rows() -> list[list[str]]:
    """For the documents: each family that has aliases besides Ray's, then what each engine calls it."""
    columns = [key for key in engines() if key != "ray"]
    found = []
    for family in families():
        by_engine = {alias.engine: f"`{alias}`" for alias in _of_family(family)}
        if by_engine.keys() - {"ray"}:
            found.append([f"`{family}`", *(by_engine.get(column, "") for column in columns)])
    return found


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = read_yaml(Path(__file__).with_name("aliases.yml"))
    return document


def _of_family(family: str) -> Iterator[Alias]:
    entry = _document()["families"][family]
    for engine in engines():
        if engine == "ray":
            yield Alias("ray_" + family.replace(":", "_"), (), engine)
        elif isinstance(entry.get(engine), dict):
            labels = dict(entry[engine])
            yield Alias(labels.pop("name"), tuple(sorted(labels.items())), engine)
        elif engine in entry:
            yield Alias(entry[engine], (), engine)


@cache
def exposed() -> dict[str, tuple[Alias, ...]]:
    """The aliases of every canonical name: those of families, and those of a histogram's parts."""
    found = {}
    for family, kind in families().items():
        of_family = tuple(_of_family(family))
        found[family] = of_family
        for part in PARTS if kind == "histogram" else ():
            found[family + part] = tuple(
                Alias(alias.name + part, alias.matchers, alias.engine) for alias in of_family
            )
    return found


@cache
def _by_alias() -> dict[str, list[tuple[Alias, str]]]:
    found: dict[str, list[tuple[Alias, str]]] = {}
    for family, of_family in exposed().items():
        for alias in of_family:
            found.setdefault(alias.name, []).append((alias, family))
    return found
