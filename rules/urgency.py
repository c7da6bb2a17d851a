"""How urgent a group of rules is: what is evaluated first, and what is put off when time is short.

A group is as urgent as the most urgent of its rules. A recording rule is as urgent as the rules that read
it, in whatever group they are: a P0 alert is no better than the series that it is made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from model.alert import Tier
from model.labels import NAME
from model.matcher import Op
from rules.group import RecordingRule, Rule, RuleGroup


def tiers_of(groups: Sequence[RuleGroup]) -> list[Tier]:
    """The tier of each group, in their order."""
    recorders: dict[str, set[int]] = defaultdict(set)
    for number, group in enumerate(groups):
        for rule in group.rules:
            if isinstance(rule, RecordingRule):
                recorders[rule.name].add(number)
    stated = [[tier for rule in group.rules if (tier := rule.tier) is not None] for group in groups]
    tiers = [min(found, default=Tier.P3) for found in stated]
    sources = [{number for rule in group.rules for number in _sources(rule, recorders)} for group in groups]
    # A group hands its tier to the groups whose records it reads, the most urgent first: each is final then.
    waiting = set(range(len(groups)))
    while waiting:
        reader = min(waiting, key=lambda number: (tiers[number], number))
        waiting.remove(reader)
        for source in sources[reader]:
            tiers[source] = min(tiers[source], tiers[reader])
    return tiers


def _sources(rule: Rule, recorders: Mapping[str, set[int]]) -> set[int]:
    """The groups that record what a rule reads; all, where a selector does not name its metric."""
    found: set[int] = set()
    for expression in rule.expressions:
        for matchers in expression.selectors:
            names = [m.value for m in matchers if m.name == NAME and m.op is Op.EQUAL]
            for name in names or recorders:
                found |= recorders.get(name, set())
    return found
