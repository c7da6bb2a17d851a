"""Settings of serving engines: the list `agent.engines` of the configuration."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from agent.engines.kinds import KindName
from model.labels import LABEL_NAME
from model.moment import SECOND
from model.settings import Duration, Settings, Size
from wire.scrape import HTTPClientSettings

_RESERVED = ("job", "instance", "node")
_MIB = 1 << 20


def _has_fit_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if not _has_fit_port(parts):
        raise ValueError(f"{value[:200]!r}: its port must be from 1 to 65535")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is not an http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the URL: use authorization, basic_auth or a token")
    return value


URL = Annotated[str, AfterValidator(_http_url)]


def _path_or_url(value: str) -> str:
    return value if not value or value.startswith("/") else _http_url(value)


PathOrURL = Annotated[str, AfterValidator(_path_or_url)]


class HealthSettings(Settings):
    """The probe of an engine's health."""

    enabled: bool = Field(True, description="Whether it is asked.")
    path: PathOrURL = Field(
        "",
        description="Path on the host and port of the metrics page, or a URL; default: that of the kind of "
        "engine beside its page, `/health` for vLLM.",
    )
    interval: Duration = Field(5 * SECOND, ge=SECOND, description="Time between questions.")
    timeout: Duration = Field(2 * SECOND, gt=0, description="An answer that takes longer is a failure.")


class ReadinessSettings(HealthSettings):
    """The probe of an engine's readiness: something that it answers only once a model is loaded."""

    path: PathOrURL = Field(
        "",
        description="Path on the host and port of the metrics page, or a URL; default: that of the kind of "
        "engine beside its page, `/v1/models` for vLLM. An inference is never asked for.",
    )
    interval: Duration = Field(
        15 * SECOND, ge=SECOND, description="Time between questions; those of `health` while it is not ready."
    )


class EngineSettings(HTTPClientSettings):
    """A serving engine or application on this node whose metrics are scraped and passed through."""

    job: str = Field(min_length=1, description="Label `job` of its series: what it is, for example `vllm`.")
    url: URL = Field(description="URL of its metrics page.")
    instance: str = Field("", description="Label `instance`; default: host and port of the URL.")
    interval: Duration | None = Field(
        None, ge=100, description="Time between scrapes; default: the agent's interval."
    )
    timeout: Duration | None = Field(
        None, gt=0, description="A scrape that takes longer fails; default: four fifths of its interval."
    )
    labels: dict[str, str] = Field({}, description="Further labels of its series.")
    kind: KindName = Field("", description="Kind of engine; default: what its job and its page tell.")
    health: HealthSettings = Field(
        default_factory=HealthSettings, description="Whether it is healthy, asked beside the scrapes."
    )
    readiness: ReadinessSettings = Field(
        default_factory=ReadinessSettings, description="Whether it is ready to serve."
    )
    trusted: bool = Field(
        True,
        description="Whether its page may show what belongs to the node or the cluster (`DCGM_*`, `node_*`, "
        "`kube_*`, `ALERTS*` and what the rules record), as an exporter's does. Engines that discovery finds "
        "never may, and none may show `fleetowl_*`, `scrape_*` or `up`: such samples are left out.",
    )
    sample_limit: int = Field(
        10_000,
        gt=0,
        le=50_000,
        description="Beyond so many series the rest of its page is left out, those of serving last; see also "
        "`agent.engine_series`.",
    )
    body_size_limit: Size = Field(16 * _MIB, gt=0, description="A larger answer fails the scrape (`16MiB`).")

    @model_validator(mode="after")
    def _labels_are_free(self) -> Self:
        for name in self.labels:
            if name in _RESERVED or not LABEL_NAME.fullmatch(name):
                raise ValueError(f"labels: {name!r} cannot be set here")
        return self

    def timeout_within(self, interval: int) -> int:
        """The timeout in ms: a scrape ends before the next one is due."""
        return self.timeout if self.timeout is not None else interval * 4 // 5
