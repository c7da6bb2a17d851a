"""The route tree."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator

from alertmanager.settings.common import ClassicName, LabelName, PositiveDuration, Text
from alertmanager.settings.matchers import MatcherLines, Regexp
from model.settings import Duration, Settings


class RouteSettings(Settings):
    """A node of the route tree; what is not given is inherited from its parent."""

    model_config = ConfigDict(populate_by_name=False)

    receiver: Text | None = Field(None, description="Who is notified.")
    group_by: tuple[LabelName, ...] | None = Field(
        None, description="Labels that make a group; `incident` is the incident's id, `...` is all labels."
    )
    group_wait: Duration | None = Field(None, description="How long a new group waits for its first alerts.")
    group_interval: PositiveDuration | None = Field(
        None, description="How long until a changed group is notified again."
    )
    repeat_interval: PositiveDuration | None = Field(
        None, description="How long until an unchanged group is notified again."
    )
    matchers: MatcherLines = Field((), description='What the alert must match, as `tier=~"P0|P1"`.')
    match: dict[ClassicName, Text] = Field(default={}, description="Deprecated: equality matchers.")
    match_re: dict[ClassicName, Regexp] = Field(default={}, description="Deprecated: regex matchers.")
    mute_time_intervals: tuple[Text, ...] = Field(
        (), description="Names of time intervals in which the route's groups are not notified."
    )
    active_time_intervals: tuple[Text, ...] = Field(
        (), description="Names of time intervals outside which the route's groups are not notified."
    )
    continue_: bool = Field(False, alias="continue", description="Whether later siblings are tried too.")
    routes: tuple[RouteSettings, ...] = Field((), description="Children; the first that matches wins.")

    @field_validator("group_by")
    @classmethod
    def _names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        # A parent's `...` wins over nothing, so a child may repeat it; several are one, as in Alertmanager.
        if names and "..." in names and set(names) != {"..."}:
            raise ValueError("`...` already is all labels: it stands alone")
        if names and "..." in names:
            return ("...",)
        if names and len(set(names)) < len(names):
            raise ValueError("a label is named twice")
        return names
