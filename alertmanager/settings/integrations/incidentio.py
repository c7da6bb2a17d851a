"""incident.io."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import (
    TIMEOUT,
    URL,
    File,
    SecretText,
    Timeout,
    at_most_one,
    given_in,
    one_of,
)
from alertmanager.settings.integrations.base import HTTPIntegration


class IncidentioConfig(HTTPIntegration):
    """An alert to incident.io."""

    url: URL | None = Field(None, description="The alert source.")
    url_file: File = Field(None, description="File that holds the URL.")
    alert_source_token: SecretText | None = Field(None, description="The alert source's token.")
    alert_source_token_file: File = Field(None, description="File that holds the token.")
    max_alerts: int = Field(0, ge=0, description="At most so many alerts in one message; 0 is no limit.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        one_of(self, "url", "url_file")
        at_most_one(self, "alert_source_token", "alert_source_token_file")
        token = given_in(self, "alert_source_token") or given_in(self, "alert_source_token_file")
        authorized = self.http_config.authorization is not None
        if token and authorized:
            raise ValueError("at most one of alert_source_token(_file) and http_config.authorization")
        # Without any http_config the token may come from global.http_config, as in Alertmanager.
        if "http_config" in self.model_fields_set and not token and not authorized:
            raise ValueError("one of alert_source_token(_file) and http_config.authorization must be given")
        return self
