"""Inhibition rules: while a source fires, its targets stay back."""

from __future__ import annotations

from pydantic import Field, field_validator

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
