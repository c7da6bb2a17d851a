"""Inhibition rules: while a source fires, its targets stay back."""

from __future__ import annotations

from pydantic import Field, field_validator

from alertmanager.matching import LabelMatch, in_order, old_style, parse_matchers
from alertmanager.settings.common import ClassicName, LabelName, Text
from alertmanager.settings.matchers import MatcherLines, Regexp
from model.settings import Settings


class InhibitRuleSettings(Settings):
    """A source that fires keeps targets with equal values of `equal` from being notified."""

    name: Text = Field("", description="How explanations call the rule.")
    source_matchers: MatcherLines = Field((), description="What the cause must match.")
    target_matchers: MatcherLines = Field((), description="What is held back.")
    source_match: dict[ClassicName, Text] = Field(default={}, description="Deprecated: equality matchers.")
    source_match_re: dict[ClassicName, Regexp] = Field(default={}, description="Deprecated: regex matchers.")
    target_match: dict[ClassicName, Text] = Field(default={}, description="Deprecated: equality matchers.")
    target_match_re: dict[ClassicName, Regexp] = Field(default={}, description="Deprecated: regex matchers.")
    equal: tuple[LabelName, ...] = Field((), description="Labels with equal values on both sides.")

    @field_validator("equal")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))

    def source(self) -> LabelMatch:
        """What the cause must match, of all spellings; without any every alert is one."""
        return _match(self.source_match, self.source_match_re, self.source_matchers)

    def target(self) -> LabelMatch:
        """What is held back, of all spellings; without any every alert is."""
        return _match(self.target_match, self.target_match_re, self.target_matchers)


def _match(equal: dict[str, str], matches: dict[str, str], lines: tuple[str, ...]) -> LabelMatch:
    modern = [matcher for line in lines for matcher in parse_matchers(line)]
    return LabelMatch(in_order([*old_style(equal, matches), *modern]))
