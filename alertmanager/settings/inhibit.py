"""Inhibition rules: while a source fires, its targets stay back."""

from __future__ import annotations

from pydantic import Field

from model.settings import Settings


class InhibitRuleSettings(Settings):
    """A source that fires keeps targets with equal values of `equal` from being notified."""

    name: str = Field("", description="How explanations call the rule.")
    source_matchers: tuple[str, ...] = Field((), description="What the cause must match.")
    target_matchers: tuple[str, ...] = Field((), description="What is held back.")
    source_match: dict[str, str] = Field(default={}, description="Deprecated spelling of equality matchers.")
    source_match_re: dict[str, str] = Field(default={}, description="Deprecated spelling of regex matchers.")
    target_match: dict[str, str] = Field(default={}, description="Deprecated spelling of equality matchers.")
    target_match_re: dict[str, str] = Field(default={}, description="Deprecated spelling of regex matchers.")
    equal: tuple[str, ...] = Field((), description="Labels that must have equal values on both sides.")
