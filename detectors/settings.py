"""Settings of the detectors."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from detectors.adapters.settings import CustomSettings
from detectors.entity.settings import EntitySettings
from detectors.peers.settings import PeerSettings
from detectors.streaming.settings import StreamingSettings
from detectors.trends.settings import TrendSettings
from model.moment import SECOND
from model.settings import Duration, Settings


class DetectorSettings(Settings):
    """The section `detectors`."""

    renamed: ClassVar = {"level": "streaming"}

    streaming: StreamingSettings = Field(
        default=StreamingSettings(), description="The detectors of single series: level and cusum."
    )
    peers: PeerSettings = Field(default=PeerSettings(), description="The comparison with peers.")
    trends: TrendSettings = Field(default=TrendSettings(), description="Trends and where they end.")
    entities: EntitySettings = Field(
        default=EntitySettings(), description="The detectors of GPUs, engines and nodes as a whole."
    )
    moment_interval: Duration = Field(
        5 * SECOND, ge=SECOND, description="Time between two moments at which series are compared."
    )
    moment_grace: Duration = Field(
        2 * SECOND, ge=0, description="How long a moment waits for samples that are on their way."
    )
    enabled: bool = Field(default=True, description="Whether series are scored at all.")
    custom: tuple[CustomSettings, ...] = Field(
        default=(), description="Detectors of river and pyod, each for each series of some metrics."
    )

    @field_validator("custom")
    @classmethod
    def _distinct(cls, custom: tuple[CustomSettings, ...]) -> tuple[CustomSettings, ...]:
        names = [one.name for one in custom]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two detectors have the name {twice!r}: give each another one")
        return custom
