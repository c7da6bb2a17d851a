"""Scrape configurations in Prometheus' spelling, and the targets that follow from them.

Sources of the rules: prometheus/prometheus config/config.go and scrape/target.go (PopulateLabels), version 3:
no default port is added to an address. Where targets come from: static_configs and file_sd_configs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, field_validator, model_validator

from model.labels import LABEL_NAME, Labels
from model.moment import MINUTE, SECOND, format_duration, parse_duration
from model.settings import Duration, Settings, Size
from telemetry.ingest_settings import IngestSettings
from telemetry.relabel import RelabelConfig, relabel
from wire.scrape import HTTPClientSettings

_GLOB = re.compile(r"[^*]*(?:\*[^/]*)?\.(?:json|yml|yaml)", re.IGNORECASE)


def _label_names(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid label name")
    return labels


def _address(address: str) -> str:
    if "/" in address:
        raise ValueError(f"{address!r} is not a valid hostname: write host:port, without scheme and path")
    return address


class StaticConfig(Settings):
    """Targets that are named one by one, and labels that they share."""

    targets: list[Annotated[str, AfterValidator(_address)]] = Field(description="Addresses, `host:port`.")
    labels: Annotated[dict[str, str], AfterValidator(_label_names)] = Field(
        default={}, description="Labels of these targets."
    )


class FileSDConfig(Settings):
    """Targets that stand in files, re-read when they change."""

    files: list[str] = Field(
        min_length=1, description="Paths of .json, .yml or .yaml files; the last part may hold a `*`."
    )
    refresh_interval: Duration = Field(
        5 * MINUTE, gt=0, description="How often the files are read; every 5s if this is longer."
    )

    @field_validator("files")
    @classmethod
    def _readable(cls, files: list[str]) -> list[str]:
        for name in files:
            if not _GLOB.fullmatch(name):
                raise ValueError(
                    f"{name!r}: a path must end in .json, .yml or .yaml, with * in its last part only"
                )
        return files


class ScrapeConfig(IngestSettings, HTTPClientSettings):
    """One job: which targets, how they are asked, what becomes of their labels."""

    job_name: str = Field(min_length=1, description="Value of the label `job`.")
    scrape_interval: Duration = Field(15 * SECOND, gt=0, description="How often each target is scraped.")
    scrape_timeout: Duration | None = Field(
        None, ge=0, description="How long an answer may take; unset it is 10s, or the interval if shorter."
    )
    metrics_path: str = Field("/metrics", description="Path of the URL.")
    scheme: str = Field("http", pattern="^https?$", description="http or https.")
    params: dict[str, list[str]] = Field(default={}, description="Parameters of the URL.")
    enable_compression: bool = Field(True, description="Ask for gzip.")
    static_configs: list[StaticConfig] = Field(default=[], description="Targets named here.")
    file_sd_configs: list[FileSDConfig] = Field(default=[], description="Targets named in files.")
    relabel_configs: list[RelabelConfig] = Field(default=[], description="Relabelling of targets.")
    target_limit: int = Field(0, ge=0, description="More targets fail the job; 0 is no limit.")
    body_size_limit: Size = Field(
        64 * 1024 * 1024,
        gt=0,
        description="A larger answer fails the scrape (`10MB`; units are powers of 1024).",
    )

    @model_validator(mode="after")
    def _timeout_within_interval(self) -> Self:
        if self.timeout > self.scrape_interval:
            raise ValueError(
                f"scrape timeout {format_duration(self.timeout)} greater than scrape interval "
                f"{format_duration(self.scrape_interval)}"
            )
        return self

    @property
    def timeout(self) -> int:
        """Milliseconds that an answer may take."""
        return self.scrape_timeout or min(10 * SECOND, self.scrape_interval)


def _unique_jobs(configs: list[ScrapeConfig]) -> list[ScrapeConfig]:
    twice = [name for name, count in Counter(config.job_name for config in configs).items() if count > 1]
    if twice:
        raise ValueError(f"found multiple scrape configs with job name {', '.join(map(repr, twice))}")
    return configs


ScrapeConfigs = Annotated[list[ScrapeConfig], AfterValidator(_unique_jobs)]
"""The list `scrape_configs`; each job name once."""


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Addresses with the labels they share, and where that is written."""

    source: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One endpoint to scrape. Times in ms; `labels` are put on each of its series."""

    job: str
    instance: str
    url: str
    labels: Labels
    discovered: Labels
    """Its labels before relabelling, for /api/v1/targets."""
    interval: int
    timeout: int

    @property
    def key(self) -> str:
        """Identity of the target in the window."""
        return f"scrape/{self.url}/{self.labels}"


def targets_of(
    config: ScrapeConfig, groups: Iterable[TargetGroup] = ()
) -> tuple[list[ScrapeTarget], list[str]]:
    """The targets of a job (each once), and a sentence for each that cannot be scraped.

    `groups` are what was found in the files of `file_sd_configs`.
    """
    targets: dict[str, ScrapeTarget] = {}
    problems: list[str] = []
    for group in _all_groups(config, groups):
        for address in group.addresses:
            try:
                target = _target(config, address, group.labels)
            except ValueError as error:
                problems.append(f"job {config.job_name}, {group.source}: target {address!r}: {error}")
                continue
            if target is not None:
                targets.setdefault(target.key, target)
    if config.target_limit and len(targets) > config.target_limit:
        problems.append(
            f"job {config.job_name}: {len(targets)} targets exceed target_limit {config.target_limit}"
        )
        return [], problems
    return list(targets.values()), problems


def dropped_of(config: ScrapeConfig, groups: Iterable[TargetGroup] = ()) -> list[Labels]:
    """The labels, before relabelling, of what `relabel_configs` drop."""
    discovered = (
        _discovered(config, address, group.labels)
        for group in _all_groups(config, groups)
        for address in group.addresses
    )
    return [labels for labels in discovered if relabel(labels, config.relabel_configs) is None]


def _all_groups(config: ScrapeConfig, groups: Iterable[TargetGroup]) -> list[TargetGroup]:
    static = [TargetGroup("static_configs", tuple(own.targets), own.labels) for own in config.static_configs]
    return [*static, *groups]


def _discovered(config: ScrapeConfig, address: str, labels: Mapping[str, str]) -> Labels:
    return Labels({**_defaults(config), **{k: v for k, v in labels.items() if v}, "__address__": address})


def _target(config: ScrapeConfig, address: str, labels: Mapping[str, str]) -> ScrapeTarget | None:
    """The target at an address, None if relabelling drops it. Raises ValueError."""
    discovered = _discovered(config, address, labels)
    found = relabel(discovered, config.relabel_configs)
    if found is None:
        return None
    if not found.value("__address__"):
        raise ValueError("no address")
    address = _address(found["__address__"])
    interval, timeout = (
        parse_duration(found.value(name)) for name in ("__scrape_interval__", "__scrape_timeout__")
    )
    if not 0 < timeout <= interval:
        raise ValueError("scrape timeout cannot be greater than scrape interval, nor zero")
    own = Labels({"instance": address, **{k: v for k, v in found.items() if not k.startswith("__")}})
    return ScrapeTarget(
        own.value("job"),
        own.value("instance"),
        _url(config, found, address),
        own,
        discovered,
        interval,
        timeout,
    )


def _defaults(config: ScrapeConfig) -> dict[str, str]:
    return {
        "job": config.job_name,
        "__scrape_interval__": format_duration(config.scrape_interval),
        "__scrape_timeout__": format_duration(config.timeout),
        "__metrics_path__": config.metrics_path,
        "__scheme__": config.scheme,
        **{f"__param_{name}": values[0] for name, values in config.params.items() if values},
    }


def _url(config: ScrapeConfig, labels: Labels, address: str) -> str:
    """Parameters: those of the configuration, the first value of each as the label `__param_*` says."""
    params = {name: list(values) for name, values in config.params.items()}
    for name, value in labels.items():
        if name.startswith("__param_"):
            key = name.removeprefix("__param_")
            params[key] = [value, *params.get(key, [])[1:]]
    path = labels.value("__metrics_path__")
    query = urlencode(sorted(params.items()), doseq=True)
    return f"{labels.value('__scheme__')}://{address}{path if path.startswith('/') else '/' + path}" + (
        f"?{query}" if query else ""
    )
