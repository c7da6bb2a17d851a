"""Checks: what one is, how it registers itself, and what it may know beyond its rule."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import promql_parser as ast

from model.moment import SECOND
from rules.lint import syntax
from rules.lint.finding import Remark
from rules.lint.rule import LintedRule
from rules.metrics.catalogue import Catalogue, catalogue

Version = tuple[int, ...]


class Surroundings:
    """What a check may know beyond its rule: the other rules, the metrics, and what the person stated.

    `engines` holds the stated versions; an engine that is not in it has the newest known one.
    """

    def __init__(
        self,
        rules: Sequence[LintedRule] = (),
        engines: Mapping[str, Version] | None = None,
        scrape_interval: int = 15 * SECOND,
    ) -> None:
        self.rules = rules
        self.metrics: Catalogue = catalogue()
        self.engines = {**newest_engines(), **(engines or {})}
        self.scrape_interval = scrape_interval
        self.records: dict[str, list[LintedRule]] = {}
        for rule in rules:
            if not rule.alerting:
                self.records.setdefault(rule.name, []).append(rule)

    def recorded(self, selector: Any) -> LintedRule | None:
        """The rule that records what a selector asks for; None if rules differ, or it is a raw metric too."""
        name = syntax.metric(selector)
        found = self.records.get(name, [])
        texts = {rule.expression.prettify() for rule in found}
        return found[0] if len(texts) == 1 and self.metrics.family(name) is None else None

    def core(self, node: Any, depth: int = 4) -> tuple[Any, float]:
        """What an expression is a size of, and how many times as large it is; through recording rules."""
        factor = 1.0
        while True:
            found = syntax.inner(node)
            if found is not None:
                node, factor = found[0], factor * found[1]
                continue
            rule = self.recorded(node) if isinstance(node, ast.VectorSelector) and depth else None
            if rule is None:
                return node, factor
            node, depth = rule.expression, depth - 1

    def read_by(self, node: Any, depth: int = 4) -> Iterator[Any]:
        """The selectors of an expression, and those of the recording rules that it reads."""
        for selector in syntax.selectors(node):
            yield selector
            for rule in self.records.get(syntax.metric(selector), ()) if depth else ():
                yield from self.read_by(rule.expression, depth - 1)


def newest_engines() -> dict[str, Version]:
    """The newest version that the catalogue knows, of each engine whose names it knows in full."""
    return {source.engine: version_of(source.newest) for source in catalogue().sources if source.newest}


def version_of(text: str) -> Version:
    """`0.32.1` as numbers. Raises ValueError if it is none."""
    parts = text.removeprefix("v").split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is not a version: write for example 0.32")
    return tuple(int(part) for part in parts)


class Find(Protocol):
    """What a check does: look at one rule and remark on it."""

    def __call__(self, rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
        """The remarks on `rule`."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check under its name; `finds` and `why` are what the documents say of it."""

    id: str
    severity: str
    finds: str
    why: str
    find: Find


_registered: dict[str, Check] = {}


def register(id: str, severity: str, finds: str, why: str) -> Callable[[Find], Find]:
    """Decorator: make a check known under `id`. `severity` names those that it may give."""

    def remember(find: Find) -> Find:
        _registered[id] = Check(id, severity, finds, why, find)
        return find

    return remember


def discover() -> dict[str, Check]:
    """Every check by name, sorted; imports all of rules/lint/checks/."""
    import rules.lint.checks

    for module in pkgutil.iter_modules(rules.lint.checks.__path__):
        importlib.import_module(f"rules.lint.checks.{module.name}")
    return dict(sorted(_registered.items()))
