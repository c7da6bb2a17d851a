"""Rule files as the checks see them, with the comments that let a finding pass.

Lenient where it can be: what would not load is one finding, and the other rules are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model.document import read_yaml
from model.settings import ConfigurationError
from rules.lint.finding import Finding, Severity
from rules.lint.rule import LintedRule
from rules.promql.errors import PromQLError
from rules.promql.scrapes import Span, parse_span
from rules.promql.tree import parsed

_ALLOW = re.compile(r"^(?P<before>[^#]*)#\s*lint:\s*allow\s+(?P<check>[\w-]+)[ \t]*(?P<reason>.*)$")


@dataclass
class RuleFile:
    """What one file holds: its rules, what is wrong with it, and what its comments allow."""

    rules: list[LintedRule] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    allowed: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    """The reason by check, of each rule (group, number)."""


def read_rules(path: Path) -> RuleFile:
    """The rules of a file, of the plain format or in a PrometheusRule object."""
    reader = _Reader(str(path))
    try:
        document = read_yaml(path, as_text=True)
    except ConfigurationError as error:
        for problem in error.problems:
            reader.wrong("", "", f"{problem.key}: {problem.message}".removeprefix(": "))
        return reader.found
    for group in _groups(document, reader):
        reader.group(group)
    reader.found.allowed = _allowed(path.read_text(encoding="utf-8"))
    return reader.found


def _groups(document: Any, reader: _Reader) -> list[Any]:
    """The groups of a document; a promtool test file has none."""
    if isinstance(document, dict) and "tests" in document and "groups" not in document:
        return []
    holder = document.get("spec", document) if isinstance(document, dict) else None
    groups = holder.get("groups") if isinstance(holder, dict) else None
    if isinstance(groups, list):
        return groups
    reader.wrong("", "", "is no rule file")
    return []


class _Reader:
    """Reads one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found = RuleFile()

    def wrong(self, group: str, rule: str, sentence: str) -> None:
        """Note what would not load."""
        way_out = "`fleetowl rules check` says all that keeps a file from loading"
        self.found.findings.append(Finding(self.file, group, rule, "load", Severity.ERROR, sentence, way_out))

    def group(self, group: Any) -> None:
        """The rules of one group."""
        name = group.get("name", "") if isinstance(group, dict) else ""
        rules = (group.get("rules") or []) if isinstance(group, dict) else None
        if not isinstance(rules, list):
            self.wrong(str(name), "", "is no group with a list of rules")
            return
        for number, entry in enumerate(rules, start=1):
            rule = self._rule(entry, group, number)
            if rule is not None:
                self.found.rules.append(rule)

    def _rule(self, entry: Any, group: dict[str, Any], number: int) -> LintedRule | None:
        group_name = str(group.get("name", ""))
        if not isinstance(entry, dict):
            self.wrong(group_name, f"rule {number}", "is no rule")
            return None
        name = str(entry.get("alert") or entry.get("record") or "")
        try:
            expression = parsed(str(entry.get("expr", "")))
            hold = parse_span(str(entry.get("for") or "0s"))
        except (PromQLError, ValueError) as error:
            self.wrong(group_name, name or f"rule {number}", " ".join(str(error).split()))
            return None
        return LintedRule(
            file=self.file,
            group=group_name,
            number=number,
            name=name or f"rule {number}",
            alerting="alert" in entry,
            expression=expression,
            hold=hold or Span(),
            labels={**_texts(group.get("labels")), **_texts(entry.get("labels"))},
            annotations=_texts(entry.get("annotations")),
        )


def _texts(entry: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in entry.items()} if isinstance(entry, dict) else {}


def _allowed(text: str) -> dict[tuple[str, int], dict[str, str]]:
    """What comments `# lint: allow <check> <reason>` in or above a rule allow, by rule."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    comments = [(line, match) for line, raw in enumerate(text.splitlines()) if (match := _ALLOW.match(raw))]
    starts = sorted(_starts(text)) if comments else []
    for line, comment in comments:
        before = [start for start in starts if start[0] <= line]
        after = [start for start in starts if start[0] > line]
        inside = before and len(comment["before"]) >= before[-1][1]
        place = before[-1] if inside else after[0] if after else None
        if place is not None:
            found.setdefault(place[2:], {})[comment["check"]] = comment["reason"].strip()
    return found


def _starts(text: str) -> Iterator[tuple[int, int, str, int]]:
    """Line, column, group and number of each rule."""
    for group in _items(_under(yaml.compose(text, yaml.BaseLoader), "groups")):
        name = next((v.value for k, v in group.value if k.value == "name"), "")
        for number, rule in enumerate(_items(_under(group, "rules")), start=1):
            yield rule.start_mark.line, rule.start_mark.column, name, number


def _under(node: Any, key: str) -> Any:
    """The value of a key in a mapping, or in its `spec`."""
    if not isinstance(node, yaml.MappingNode):
        return None
    entries = {name.value: value for name, value in node.value}
    return entries.get(key) or (_under(entries["spec"], key) if "spec" in entries else None)


def _items(node: Any) -> list[Any]:
    mappings = node.value if isinstance(node, yaml.SequenceNode) else []
    return [item for item in mappings if isinstance(item, yaml.MappingNode)]
