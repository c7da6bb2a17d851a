"""Which rules of a file a test needs: a file has dozens of rules, a test mostly looks at one.

A rule is left out only if nothing that the test looks at reads it, and the series that it reads neither come
in nor are recorded. It has no result then that anybody sees, and thousands of steps go faster without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.labels import NAME
from model.matcher import Matcher
from rules.group import AlertRule, Rule, RuleGroup
from rules.unittest.model import UnitTest
from telemetry.matching import predicate

ALERT_SERIES = ("ALERTS", "ALERTS_FOR_STATE")


def needed(groups: Sequence[RuleGroup], test: UnitTest) -> list[RuleGroup]:
    """The groups without the rules that cannot matter to the test."""
    rules = {id(rule): rule for group in groups for rule in group.rules}
    tested = {case.alertname for case in test.alert_rule_test}
    names = {labels.name for labels in (entry.samples[0] for entry in test.input_series)}
    read = [selector for case in test.promql_expr_test for selector in case.expr.selectors]
    kept: set[int] = set()
    growing = True
    while growing:
        growing = False
        for key, rule in rules.items():
            if key not in kept and _matters(rule, tested, names, read):
                kept.add(key)
                names.update(_written(rule))
                read.extend(rule.expression.selectors)
                growing = True
    if any(_queries(rule) for key, rule in rules.items() if key in kept):
        return list(groups)
    return [replace(group, rules=tuple(r for r in group.rules if id(r) in kept)) for group in groups]


def reads_alerts(groups: Iterable[RuleGroup], test: UnitTest) -> bool:
    """Whether somebody reads the series ALERTS or ALERTS_FOR_STATE."""
    rules = [rule for group in groups for rule in group.rules]
    expressions = [*(rule.expression for rule in rules), *(case.expr for case in test.promql_expr_test)]
    read = [selector for expression in expressions for selector in expression.selectors]
    return any(map(_queries, rules)) or _any_reads(read, ALERT_SERIES)


def _matters(rule: Rule, tested: set[str], names: set[str], read: list[tuple[Matcher, ...]]) -> bool:
    looked_at = isinstance(rule, AlertRule) and rule.name in tested
    return looked_at or _any_reads(read, _written(rule)) or _any_reads(rule.expression.selectors, names)


def _written(rule: Rule) -> tuple[str, ...]:
    return ALERT_SERIES if isinstance(rule, AlertRule) else (rule.name,)


def _any_reads(selectors: Iterable[tuple[Matcher, ...]], names: Iterable[str]) -> bool:
    """Whether one of the selectors may select a series with one of the names."""
    names = list(names)
    for selector in selectors:
        wanted = [predicate(matcher) for matcher in selector if matcher.name == NAME]
        if any(all(matches(name) for matches in wanted) for name in names):
            return True
    return False


def _queries(rule: Rule) -> bool:
    """Whether a template of the rule may ask for anything."""
    texts = (*rule.labels.values(), *rule.annotations.values()) if isinstance(rule, AlertRule) else ()
    return any("query" in template.text for template in texts)
