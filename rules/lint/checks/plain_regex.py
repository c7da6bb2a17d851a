"""Regular expressions that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rules.lint import syntax
from rules.lint.finding import Remark, info
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule

_SPECIAL = re.compile(r"[.^$*+?{}\[\]\\|()]")


@register(
    "plain-regex",
    "info",
    "`=~` or `!~` with a plain text",
    "`=` says the same, and is looked up instead of tried on every value.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The matchers that need no regular expression."""
    for selector in syntax.selectors(rule.expression):
        for matcher in selector.matchers.matchers:
            op = syntax.op_of(matcher)
            if op in ("=~", "!~") and not _SPECIAL.search(matcher.value):
                plain = "=" if op == "=~" else "!="
                written = f"{matcher.name}{op}{matcher.value!r}"
                yield info(f"{written} is no pattern", f"write {matcher.name}{plain}{matcher.value!r}")
