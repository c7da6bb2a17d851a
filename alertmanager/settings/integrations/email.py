"""Mail."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from alertmanager.settings.common import Address, File, SecretText, Text, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.http import ReceiverTLSConfig
from alertmanager.settings.integrations.base import IntegrationConfig
from model.settings import Settings

_INHERITED = ("from_", "hello", "smarthost", "auth_username", "auth_identity")


class Threading(Settings):
    """Mails of one group as one thread."""

    enabled: bool = Field(False, description="Whether mails of a group refer to the first.")
    thread_by_date: Literal["", "none", "daily"] = Field("", description="A new thread each day, or never.")


class EmailConfig(IntegrationConfig):
    """A mail through an SMTP server."""

    model_config = ConfigDict(populate_by_name=False)

    send_resolved: bool = Field(False, description="Whether the end of an alert is notified too.")
    to: Text = Field("", description="Addresses, with commas.")
    from_: Text = Field("", alias="from", description="Sender; else global.smtp_from.")
    hello: Text = Field("", description="The name given to the mail server; else global.smtp_hello.")
    smarthost: Address = Field("", description="The mail server, `host:port`; else global.smtp_smarthost.")
    auth_username: Text = Field("", description="User name; else global.smtp_auth_username.")
    auth_password: SecretText | None = Field(None, description="Password; else global's.")
    auth_password_file: File = Field(None, description="File that holds the password; else global's.")
    auth_secret: SecretText | None = Field(None, description="Secret for CRAM-MD5; else global's.")
    auth_secret_file: File = Field(None, description="File that holds the secret; else global's.")
    auth_identity: Text = Field("", description="Identity for PLAIN; else global's.")
    headers: dict[str, Text] = Field(default={}, description="Headers; their values are templates.")
    html: Text = Field('{{ template "email.default.html" . }}', description="The body in HTML, a template.")
    text: Text = Field("", description="The body as plain text, a template.")
    require_tls: bool = Field(True, description="Refuse to send without TLS; else global.smtp_require_tls.")
    tls_config: ReceiverTLSConfig = Field(
        ReceiverTLSConfig(), description="TLS; else global.smtp_tls_config."
    )
    force_implicit_tls: bool | None = Field(
        None, description="TLS from the first byte (true) or by STARTTLS (false); by default by port."
    )
    threading: Threading = Field(Threading(), description="Mails of one group as one thread.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.to:
            raise ValueError("to must be given: who gets the mail")
        at_most_one(self, "auth_password", "auth_password_file")
        at_most_one(self, "auth_secret", "auth_secret_file")
        seen: set[str] = set()
        for name in map(str.lower, self.headers):
            if name in seen:
                raise ValueError(f"the header {name!r} is there twice: upper and lower case are the same")
            seen.add(name)
        if self.threading.enabled:
            self._can_be_threaded(seen)
        return self

    def _can_be_threaded(self, headers: set[str]) -> None:
        if headers & {"references", "in-reply-to"}:
            raise ValueError("threading.enabled sets References and In-Reply-To itself: leave them out")
        if not self.threading.thread_by_date:
            raise ValueError("threading.thread_by_date must be none or daily")

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s smtp_* where this says nothing."""
        update: dict[str, object] = {
            name: getattr(self, name) or getattr(common, f"smtp_{name.rstrip('_')}") for name in _INHERITED
        }
        for name in ("auth_password", "auth_secret"):
            if not given_in(self, name) and not given_in(self, f"{name}_file"):
                update[name] = getattr(common, f"smtp_{name}")
                update[f"{name}_file"] = getattr(common, f"smtp_{name}_file")
        for name in ("require_tls", "tls_config", "force_implicit_tls"):
            if name not in self.model_fields_set:
                update[name] = getattr(common, f"smtp_{name}")
        for name in ("smarthost", "from_"):
            if not update[name]:
                key = name.rstrip("_")
                raise ValueError(f"{key} must be given, here or as global.smtp_{key}")
        return self._with(**update)
