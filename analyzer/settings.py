"""The settings of the central process, and the file that holds those of every room under it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from analyzer.deadman.settings import DeadManSettings
from model.labels import LABEL_NAME
from model.moment import SECOND
from model.settings import (
    Duration,
    Listen,
    Settings,
    Size,
    default_state_directory,
    parse_listen,
    read_secret,
)


def _checked_labels(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
            raise ValueError(f"{name!r} is not a valid label name")
    return labels


class AnalyzerSettings(Settings):
    """Section `analyzer`: where it listens, who may write, where it keeps its state."""

    listen: Listen = Field("127.0.0.1:9480", description="Address and port of the HTTP service.")
    token: SecretStr | None = Field(None, description="Bearer token for everything that changes something.")
    token_file: Path | None = Field(None, description="File that holds the token; instead of `token`.")
    state_directory: Path = Field(
        default_factory=default_state_directory,
        description="Directory of the state database and of the window's snapshot.",
    )
    database: str | None = Field(
        None, description="SQLAlchemy URL of the state database; SQLite in the state directory unless set."
    )
    tick: Duration = Field(SECOND, ge=100, description="Time between two ticks.")
    max_request_size: Size = Field(
        64 * 2**20, gt=0, description="Largest request body; a larger one is answered with 413."
    )
    max_pending_requests: int = Field(
        64, gt=0, description="Writes handled at once; more are answered with 429 and Retry-After."
    )
    external_labels: Annotated[dict[str, str], AfterValidator(_checked_labels)] = Field(
        default={},
        description="Labels that /federate adds to every series that has none of that name, as "
        "`global.external_labels` in prometheus.yml.",
    )

    dead_man: DeadManSettings = Field(
        DeadManSettings(),
        description="Who is told, past everything else, of silence.",
    )

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("at most one of token and token_file may be set")
        if self.token is None and self.token_file is None and not is_loopback(self.host):
            raise ValueError(
                f"listen {self.listen} is open to others, and no token is set: "
                "set token_file, or listen on 127.0.0.1"
            )
        return self

    @property
    def host(self) -> str:
        """The host part of `listen`; "" is every address."""
        return parse_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """The port part of `listen`; 0 lets the system choose."""
        return parse_listen(self.listen)[1]

    def read_token(self) -> str | None:
        """The bearer token, None where none is set. Raises OSError if its file cannot be read."""
        return read_secret(self.token, self.token_file)

    def database_url(self) -> str:
        """Where the state database is."""
        return self.database or f"sqlite:///{self.state_directory / 'state.db'}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
