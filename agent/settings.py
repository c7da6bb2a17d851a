"""Settings of the agent: the section `agent` of the configuration."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from agent.engines.discovery_settings import DiscoverySettings
from agent.engines.settings import URL, EngineSettings
from agent.gpu.settings import GpuSettings
from agent.pods.settings import PodSettings
from agent.xid.settings import KernelLogSettings, XidSettings
from model.moment import MINUTE, SECOND, format_duration
from model.settings import Duration, Listen, Settings, Size, default_state_directory, did_you_mean
from wire.scrape import TLSConfig

_MIB = 1 << 20


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def default_node() -> str:
    """The environment's NODE_NAME (Kubernetes' downward API), else the host's name."""
    return os.environ.get("NODE_NAME") or socket.gethostname()


class CollectorSettings(Settings):
    """Which collectors run."""

    disable: list[str] = Field([], description="Collectors that shall not run.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        from agent.registry import discover

        known = discover()
        for name in self.disable:
            if name == "gpu":
                raise ValueError("gpu is no collector any more: use agent.gpu.enabled: false")
            if name not in known:
                hint = did_you_mean(name, known, "collectors")
                raise ValueError(f"no collector is called {name!r}: {hint}")
        return self


class SpoolSettings(Settings):
    """Where frames wait on disk while an analyzer does not take them."""

    directory: Path = Field(
        default_factory=lambda: default_state_directory() / "spool",
        description="Folder of the spool, made if it is not there; default: `spool` in the state directory.",
    )
    max_bytes: Size = Field(
        256 * _MIB, ge=_MIB, description="The oldest frames go when the spool is larger (`256MiB`)."
    )
    backfill_rate: int = Field(
        200, gt=0, description="Spooled frames sent per second once the analyzer is back; live ones go first."
    )


class PushSettings(Settings):
    """Where the agent sends its frames."""

    url: Annotated[list[URL], BeforeValidator(_as_list)] = Field(
        [],
        description="Analyzers' base URLs (`http://analyzer:9480`), one or a list; each gets all frames. "
        "Empty: nothing is pushed.",
    )
    token: SecretStr | None = Field(None, description="Bearer token of the analyzer.")
    token_file: Path | None = Field(
        None, description="File that holds the token; read again for each request, so it may rotate."
    )
    tls_config: TLSConfig = Field(TLSConfig(), description="TLS of the connection to the analyzer.")
    timeout: Duration = Field(5 * SECOND, gt=0, description="A request that takes longer has failed.")
    min_backoff: Duration = Field(SECOND, gt=0, description="Pause after the first failure; it doubles.")
    max_backoff: Duration = Field(10 * SECOND, gt=0, description="Longest pause between attempts.")
    spool: SpoolSettings = Field(
        default_factory=SpoolSettings, description="Frames that wait for an analyzer."
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("at most one of token and token_file")
        if len(set(self.url)) != len(self.url):
            raise ValueError("url: the same analyzer is named twice")
        return self


class AgentSettings(Settings):
    """The node agent."""

    listen: Listen = Field(
        "127.0.0.1:9482", description="Address of /metrics and the health pages; port 0 takes a free one."
    )
    node: str = Field(
        default_factory=default_node,
        min_length=1,
        description="Name of this node; default: the environment's NODE_NAME, else the host name.",
    )
    job: str = Field(
        "fleetowl-agent",
        min_length=1,
        description="Label `job` of the host's series; `node-exporter` suits rules written for that.",
    )
    interval: Duration = Field(
        3 * SECOND, ge=100, le=5 * MINUTE, description="Time between collections, and between frames."
    )
    collectors: CollectorSettings = Field(
        default_factory=CollectorSettings, description="Which collectors run."
    )
    procfs: Path = Field(Path("/proc"), description="Where the host's procfs is mounted.")
    sysfs: Path = Field(Path("/sys"), description="Where the host's sysfs is mounted.")
    rootfs: Path = Field(
        Path("/"), description="Where the host's root is mounted, if the agent runs in a container."
    )
    gpu: GpuSettings = Field(default_factory=GpuSettings, description="NVIDIA GPUs.")
    kernel_log: KernelLogSettings = Field(
        default_factory=KernelLogSettings, description="Where the driver writes XIDs."
    )
    xid: XidSettings = Field(default_factory=XidSettings, description="What an XID means and asks for.")
    pods: PodSettings = Field(default_factory=PodSettings, description="Which pod has which GPU.")
    engines: list[EngineSettings] = Field([], description="Local engines and applications to scrape.")
    engine_series: int = Field(
        50_000,
        gt=0,
        description="Most series of all local engines together, listed or found. One that comes when they "
        "are used up gets an equal share, and those that have more are cut back to it.",
    )
    discovery: DiscoverySettings = Field(
        default_factory=DiscoverySettings, description="Local engines that are found and not listed."
    )
    export_engines: bool = Field(
        True, description="Whether /metrics shows the scraped engines' series besides the host's."
    )
    push: PushSettings = Field(default_factory=PushSettings, description="Where frames go.")

    @model_validator(mode="after")
    def _engines_fit(self) -> Self:
        names = set()
        for engine in self.engines:
            interval = engine.interval or self.interval
            if engine.timeout is not None and engine.timeout > interval:
                raise ValueError(
                    f"engines: the timeout of {engine.job} ({format_duration(engine.timeout)}) is longer "
                    f"than its interval ({format_duration(interval)})"
                )
            name = (engine.job, engine.instance or urlsplit(engine.url).netloc)
            if name in names:
                raise ValueError(f"engines: job {name[0]}, instance {name[1]} is there twice; set instance")
            names.add(name)
        return self
