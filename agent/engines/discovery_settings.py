"""Settings of the discovery of engines: the section `agent.discovery` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from agent.engines.settings import URL
from model.moment import MINUTE, SECOND
from model.settings import Duration, Settings, Size
from wire.scrape import TLSConfig

_MIB = 1 << 20

Port = Annotated[int, Field(ge=1, le=65_535)]


class PodDiscoverySettings(Settings):
    """Engines in the pods of this node, by their annotations."""

    enabled: bool = Field(False, description="Whether the kubelet is asked for its pods.")
    url: URL = Field(
        "https://127.0.0.1:10250/pods",
        description="The kubelet's list of pods; in a pod without the host's network, the node's address. "
        "`http://127.0.0.1:10255/pods` where the read-only port is open.",
    )
    token_file: Path | None = Field(
        None,
        description="File that holds a bearer token, read anew each time; it must be allowed to get "
        "`nodes/pods` (before Kubernetes 1.33 `nodes/proxy`).",
    )
    tls_config: TLSConfig = Field(
        default_factory=TLSConfig,
        description="TLS of the connection; the kubelet has mostly signed its certificate itself.",
    )
    interval: Duration = Field(30 * SECOND, ge=SECOND, description="Time between questions.")
    timeout: Duration = Field(5 * SECOND, gt=0, description="An answer that takes longer is a failure.")
    body_size_limit: Size = Field(16 * _MIB, gt=0, description="A larger answer is a failure (`16MiB`).")


class DiscoverySettings(Settings):
    """Which engines are scraped without being listed in `agent.engines`."""

    pods: PodDiscoverySettings = Field(
        default_factory=PodDiscoverySettings,
        description="Pods annotated with `prometheus.io/scrape` or `fleetowl.io/scrape`.",
    )
    ports: list[Port] = Field(
        [], description="Ports of this machine where an engine may answer on 127.0.0.1 (`[8000, 30000]`)."
    )
    port_interval: Duration = Field(MINUTE, ge=SECOND, description="Time between looks at the ports.")
    max_engines: int = Field(64, gt=0, description="Most engines that are discovered; the rest is left out.")
