"""Metrics that the engine does not have, or not without being told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from rules.lint import syntax
from rules.lint.finding import Remark, error, info, warning
from rules.lint.registry import Surroundings, Version, register, version_of
from rules.lint.rule import LintedRule
from rules.metrics.catalogue import PARTS, Family, Source


@register(
    "unknown-metric",
    "error, warning, info",
    "a metric that this version of the engine does not expose",
    "Names with the prefix of vLLM are looked up for the version of `--engine vllm=0.32`, else for the "
    "newest known one: gone or not there yet is an error, unknown a warning. What needs an option of the "
    "server, or a line in dcgm-exporter's list of fields, is an info.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """What is to be said of each metric that the rule reads."""
    for selector in syntax.selectors(rule.expression):
        name = syntax.metric(selector)
        for source in around.metrics.sources:
            if source.owns(name) and name not in around.records:
                yield from _judged(name, source, around)


def _judged(name: str, source: Source, around: Surroundings) -> Iterator[Remark]:
    family, version = around.metrics.family(name), around.engines.get(source.engine)
    if family is not None:
        yield from _known(name, family, version)
    elif source.open:
        yield info(
            f"{name} is not in the default list of {source.title}", "add it to the list of the exporter"
        )
    elif not name.endswith("_created") and not any(re.fullmatch(p, name) for p in source.also):
        sentence = f"{source.title} {_shown(version)} exposes no {name}"
        yield warning(sentence, _nearest(name, source, around))


def _known(name: str, family: Family, version: Version | None) -> Iterator[Remark]:
    if family.gone and version is not None and version >= version_of(family.gone):
        sentence = f"{family.source} {_shown(version)} has no {name}: it went with {family.gone}"
        yield error(sentence, _successor(name, family))
    elif family.since and version is not None and version < version_of(family.since):
        yield error(
            f"{family.source} {_shown(version)} has no {name}: it came with {family.since}",
            "name both with `or`",
        )
    elif name == family.name and family.type == "histogram":
        yield error(f"{name} is a histogram, which is never exposed under its bare name", _parts(name))
    elif family.now and not family.gone:
        yield info(
            f"{family.source} writes {family.now} by default, {name} is DCGM's newer name",
            f"use {family.now}",
        )
    elif family.optional:
        yield info(f"{name} is there only with {family.optional}", "make sure that it is on everywhere")


def _shown(version: Version | None) -> str:
    return ".".join(map(str, version)) if version else ""


def _successor(name: str, family: Family) -> str:
    if not family.now:
        return "remove it: nothing took its place"
    part = name.removeprefix(family.name) if family.type == "histogram" else ""
    return f"use {family.now}{part}"


def _parts(name: str) -> str:
    return f"use {', '.join(name + part for part in PARTS)}"


def _nearest(name: str, source: Source, around: Surroundings) -> str:
    there = [
        each
        for each in around.metrics.exposed(source.engine)
        if (family := around.metrics.family(each)) is not None and not family.gone
    ]
    if name + "_total" in there:
        return f"a counter ends in _total: use {name}_total"
    close = difflib.get_close_matches(name, there, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "remove it, or state the engine's version with --engine"
