"""Webhooks in Alertmanager's own JSON."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from alertmanager.settings.common import TIMEOUT, File, SecretTemplateURL, Timeout, one_of
from alertmanager.settings.integrations.base import HTTPIntegration


class WebhookConfig(HTTPIntegration):
    """A POST of Alertmanager's JSON (version 4)."""

    url: SecretTemplateURL | None = Field(None, description="Where to; treated as a secret.")
    url_file: File = Field(None, description="A file that holds the URL.")
    max_alerts: int = Field(0, ge=0, description="At most so many alerts in one message; 0 is no limit.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")
    payload: Any = Field(None, description="A body of one's own: texts in it are templates.")

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        one_of(self, "url", "url_file")
        return self
