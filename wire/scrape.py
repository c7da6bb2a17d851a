"""HTTP client settings in Prometheus' spelling: who we say we are, and whom we believe.

Shared by the agent (engines on its node) and the analyzer (its own scrapes, receivers).
"""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from model.settings import Settings, read_secret

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TLS_VERSIONS = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Authorization(Settings):
    """The `Authorization` header: a scheme and its credentials."""

    type: str = Field("Bearer", description="Authentication scheme; `basic` has a section of its own.")
    credentials: SecretStr | None = Field(None, description="The credentials themselves.")
    credentials_file: Path | None = Field(
        None, description="File that holds the credentials; read anew each time."
    )

    @field_validator("type")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value.strip().lower() == "basic":
            raise ValueError("type must not be basic: use basic_auth")
        if not _TOKEN.fullmatch(value.strip()):
            raise ValueError(f"{value!r} is no authentication scheme")
        return value.strip()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _at_most_one(self.credentials, self.credentials_file, "credentials")
        if self.credentials is None and self.credentials_file is None:
            raise ValueError("give credentials or credentials_file")
        return self


class BasicAuth(Settings):
    """User name and password."""

    username: str = Field("", description="User name.")
    username_file: Path | None = Field(None, description="File that holds the user name.")
    password: SecretStr | None = Field(None, description="Password.")
    password_file: Path | None = Field(None, description="File that holds the password; read anew each time.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _at_most_one(self.username or None, self.username_file, "username")
        _at_most_one(self.password, self.password_file, "password")
        return self


class TLSConfig(Settings):
    """Whom to believe, and our own certificate."""

    ca_file: Path | None = Field(
        None, description="CA certificates that sign the server's; default: the system's."
    )
    cert_file: Path | None = Field(None, description="Our certificate, for servers that ask for one.")
    key_file: Path | None = Field(None, description="The key of `cert_file`.")
    server_name: str = Field(
        "", description="Name expected in the server's certificate, if not the URL's host."
    )
    insecure_skip_verify: bool = Field(False, description="Do not check the server's certificate at all.")
    min_version: str = Field("TLS12", description="Oldest version accepted: TLS12 or TLS13.")

    @field_validator("min_version")
    @classmethod
    def _known_version(cls, value: str) -> str:
        if value not in _TLS_VERSIONS:
            raise ValueError(f"{value!r} is not one of {', '.join(_TLS_VERSIONS)}")
        return value

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self


def _deprecated(value: object, info: ValidationInfo) -> None:
    twin = str(info.field_name).replace("bearer_token", "credentials")
    raise ValueError(f"is deprecated: write authorization: {{{twin}: ...}}")


class HTTPClientSettings(Settings):
    """How to speak to an HTTP server, as in Prometheus' `scrape_configs` and `http_config`."""

    authorization: Authorization | None = Field(None, description="Sets the Authorization header.")
    basic_auth: BasicAuth | None = Field(None, description="HTTP basic authentication.")
    tls_config: TLSConfig = Field(default_factory=TLSConfig, description="TLS of the connection.")
    follow_redirects: bool = Field(True, description="Follow HTTP redirects.")
    bearer_token: Annotated[None, BeforeValidator(_deprecated)] = Field(
        None, exclude=True, description="Deprecated in Prometheus and refused here: write `authorization`."
    )
    bearer_token_file: Annotated[None, BeforeValidator(_deprecated)] = Field(
        None, exclude=True, description="Deprecated in Prometheus and refused here: write `authorization`."
    )

    @model_validator(mode="after")
    def _one_scheme(self) -> Self:
        if self.authorization is not None and self.basic_auth is not None:
            raise ValueError("at most one of authorization and basic_auth")
        return self

    def request_headers(self) -> dict[str, str]:
        """The `Authorization` header, if any; secrets in files are read now. Raises OSError."""
        if self.authorization is not None:
            own = self.authorization
            secret = read_secret(own.credentials, own.credentials_file)
            return {"Authorization": f"{own.type} {secret}"}
        if self.basic_auth is not None:
            basic = self.basic_auth
            user = read_secret(None, basic.username_file) if basic.username_file else basic.username
            password = read_secret(basic.password, basic.password_file) or ""
            encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {encoded}"}
        return {}

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings as a context. Raises OSError or ssl.SSLError if a file is missing or no good.

        `server_name` is not part of a context: the caller passes it as `server_hostname`.
        """
        tls = self.tls_config
        for file in (tls.ca_file, tls.cert_file, tls.key_file):
            if file is not None:
                file.open("rb").close()  # the ssl module does not say which file it misses
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.minimum_version = _TLS_VERSIONS[tls.min_version]
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        return context


def _at_most_one(value: object, file: Path | None, name: str) -> None:
    if value is not None and file is not None:
        raise ValueError(f"at most one of {name} and {name}_file")
