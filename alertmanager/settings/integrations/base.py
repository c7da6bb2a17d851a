"""What integrations have in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field

from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.http import HTTPConfig
from model.settings import Settings


class IntegrationConfig(Settings):
    """What every way to notify has."""

    # Built with the receiver, or when one is made by itself: two dozen kinds cost a quarter of a second.
    model_config = ConfigDict(defer_build=True)

    send_resolved: bool = Field(True, description="Whether the end of an alert is notified too.")

    def inherit(self, common: GlobalSettings) -> Self:
        """With what `global:` says where this says nothing. Raises ValueError if a key is missing then."""
        return self

    def _with(self, **update: Any) -> Self:
        return self.model_copy(update=update)


class HTTPIntegration(IntegrationConfig):
    """A way to notify over HTTP."""

    http_config: HTTPConfig = Field(HTTPConfig(), description="Authorization, proxy, TLS; else `global`'s.")

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s http_config unless there is one here."""
        if "http_config" in self.model_fields_set:
            return self
        return self._with(http_config=common.http_config)
