"""VictorOps (Splunk On-Call)."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, File, SecretText, Text, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration

_RESERVED = (
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
)


class VictorOpsConfig(HTTPIntegration):
    """An incident in VictorOps."""

    api_key: SecretText | None = Field(None, description="The key; else global.victorops_api_key.")
    api_key_file: File = Field(None, description="File that holds the key; else global's.")
    api_url: URL | None = Field(None, description="The API; else global.victorops_api_url.")
    routing_key: Text = Field("", description="Who is told.")
    message_type: Text = Field("CRITICAL", description="CRITICAL, WARNING or INFO, or a template.")
    state_message: Text = Field('{{ template "victorops.default.state_message" . }}', description="The text.")
    entity_display_name: Text = Field(
        '{{ template "victorops.default.entity_display_name" . }}', description="The headline."
    )
    monitoring_tool: Text = Field(
        '{{ template "victorops.default.monitoring_tool" . }}', description="Who sends."
    )
    custom_fields: dict[str, Text] = Field(default={}, description="Further keys; values are templates.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.routing_key:
            raise ValueError("routing_key must be given")
        at_most_one(self, "api_key", "api_key_file")
        for name in _RESERVED:
            if name in self.custom_fields:
                raise ValueError(f"custom_fields cannot hold {name}: the message has a key of this name")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL and key."""
        own = super().inherit(common)._with(api_url=self.api_url or common.victorops_api_url)
        if given_in(self, "api_key") or given_in(self, "api_key_file"):
            return own
        if not common.victorops_api_key and not common.victorops_api_key_file:
            raise ValueError("api_key must be given, here or as global.victorops_api_key(_file)")
        return own._with(api_key=common.victorops_api_key, api_key_file=common.victorops_api_key_file)
