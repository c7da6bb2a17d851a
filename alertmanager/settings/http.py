"""`http_config` as Alertmanager has it: who we say we are, whom we believe, through which proxy."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from alertmanager.settings.common import URL, File, SecretText, Text, no_empty
from model.settings import Settings
from wire.scrape import Authorization, HTTPClientSettings, TLSConfig

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class ReceiverTLSConfig(TLSConfig):
    """TLS of a receiver: certificates in files, or inside the configuration."""

    ca: Text = Field("", description="CA certificates themselves, in PEM.")
    cert: Text = Field("", description="Our certificate itself, in PEM.")
    key: SecretText | None = Field(None, description="The key of `cert` itself, in PEM.")
    max_version: str = Field("", description="Newest version used: TLS12 or TLS13.")

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        for name in ("ca", "cert", "key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"at most one of {name} and {name}_file can be given")
        if bool(self.cert or self.cert_file) != bool(self.key or self.key_file):
            raise ValueError("a certificate and its key go together")
        if self.max_version and self.max_version not in _VERSIONS:
            raise ValueError(f"max_version {self.max_version!r} is not one of {', '.join(_VERSIONS)}")
        return self

    def complete(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """`context` with what stands in the configuration itself. Raises ssl.SSLError or OSError."""
        if self.ca:
            context.load_verify_locations(cadata=self.ca)
        if self.cert and self.key is not None:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:  # readable by us alone
                pem.write(f"{self.cert}\n{self.key.get_secret_value()}\n")
                pem.flush()
                context.load_cert_chain(pem.name)
        if self.max_version:
            context.maximum_version = _VERSIONS[self.max_version]
        return context


class Header(Settings):
    """The values of one header that is sent with each request."""

    values: tuple[Text, ...] = Field((), description="Values.")
    secrets: tuple[SecretText, ...] = Field((), description="Values that are never shown.")
    files: tuple[Path, ...] = Field((), description="Files that hold values.")


class OAuth2(Settings):
    """OAuth 2.0 with client credentials."""

    client_id: Text = Field("", description="Who we are.")
    client_secret: SecretText | None = Field(None, description="Our secret.")
    client_secret_file: File = Field(None, description="A file that holds our secret.")
    token_url: Text = Field("", description="Where tokens are given out.")
    scopes: tuple[Text, ...] = Field((), description="What the token is for.")
    endpoint_params: dict[str, Text] = Field(default={}, description="Parameters of the token request.")
    tls_config: ReceiverTLSConfig = Field(ReceiverTLSConfig(), description="TLS towards `token_url`.")
    proxy_url: URL | None = Field(None, description="Proxy towards `token_url`.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("at most one of client_secret and client_secret_file can be given")
        if not self.client_id or not self.token_url:
            raise ValueError("client_id and token_url must be given")
        return self


class HTTPConfig(HTTPClientSettings):
    """How a receiver is spoken to over HTTP."""

    tls_config: ReceiverTLSConfig = Field(ReceiverTLSConfig(), description="TLS of the connection.")
    oauth2: OAuth2 | None = Field(None, description="OAuth 2.0 with client credentials.")
    bearer_token: SecretText | None = Field(  # type: ignore[assignment]  # the agent refuses it
        None, description="Deprecated spelling of authorization.credentials."
    )
    bearer_token_file: File = Field(  # type: ignore[assignment]  # the agent refuses it
        None, description="Deprecated spelling of authorization.credentials_file."
    )
    proxy_url: Annotated[URL | None, BeforeValidator(no_empty)] = Field(
        None, description="The proxy that requests go through."
    )
    no_proxy: Text = Field("", description="Hosts that are reached without the proxy, with commas.")
    proxy_from_environment: bool = Field(False, description="Take the proxy from HTTPS_PROXY and its like.")
    proxy_connect_header: dict[str, tuple[SecretText, ...]] = Field(
        default={}, description="Headers for the proxy."
    )
    enable_http2: bool = Field(True, description="Accepted for Alertmanager's sake; HTTP/1.1 is spoken.")
    http_headers: dict[str, Header] = Field(default={}, description="Headers sent with each request.")

    @model_validator(mode="before")
    @classmethod
    def _modern(cls, data: Any) -> Any:
        """Reads the deprecated bearer_token as `authorization`."""
        if not isinstance(data, dict):
            return data
        tokens = {
            twin: data[old]
            for old, twin in (("bearer_token", "credentials"), ("bearer_token_file", "credentials_file"))
            if data.get(old)
        }
        if not tokens:
            return data
        if data.get("authorization") or data.get("basic_auth") or data.get("oauth2"):
            raise ValueError("at most one of basic_auth, oauth2, bearer_token and authorization")
        rest = {key: value for key, value in data.items() if not key.startswith("bearer_token")}
        return {**rest, "authorization": tokens}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.oauth2 is not None and (self.authorization is not None or self.basic_auth is not None):
            raise ValueError("at most one of basic_auth, oauth2 and authorization")
        if self.proxy_from_environment and (self.proxy_url or self.no_proxy):
            raise ValueError("proxy_from_environment stands alone: leave proxy_url and no_proxy out")
        if self.no_proxy and not self.proxy_url:
            raise ValueError("no_proxy needs a proxy_url")
        if self.proxy_connect_header and not (self.proxy_url or self.proxy_from_environment):
            raise ValueError("proxy_connect_header needs a proxy_url")
        return self

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings as a context. Raises OSError or ssl.SSLError if a certificate is no good."""
        return self.tls_config.complete(super().ssl_context())

    def authorized(self, token: SecretStr | None, file: Path | None) -> HTTPConfig:
        """With a bearer token of the integration's own."""
        return self.model_copy(
            update={"authorization": Authorization(credentials=token, credentials_file=file)}
        )
