"""Settings of the window: how far it reaches back and how much it may hold."""

from __future__ import annotations

from pydantic import Field

from model.moment import MINUTE, SECOND
from model.settings import Duration, Settings, Size
from telemetry.ingest_settings import FrameSettings, RemoteWriteSettings

GIBIBYTE = 1 << 30


class WindowLimits(Settings):
    """What the window refuses. What is refused is counted, never silently lost."""

    memory: Size = Field(
        default=2 * GIBIBYTE,
        gt=0,
        description="Bytes for samples and their times (`2GiB`); past it new series and samples are refused.",
    )
    series: int = Field(default=2_000_000, gt=0, description="Series at most, over all targets.")
    max_ahead: Duration = Field(
        default=10 * MINUTE,
        ge=0,
        description="Samples whose time lies further ahead of this host's clock are refused.",
    )


class TelemetrySettings(Settings):
    """The section `telemetry`: the window and its snapshot."""

    retention: Duration = Field(
        default=15 * MINUTE,
        ge=MINUTE,
        le=360 * MINUTE,
        description="How far back rules and queries can look; no sample younger than this is overwritten.",
    )
    window: WindowLimits = Field(default=WindowLimits(), description="Limits of the window in memory.")
    remote_write: RemoteWriteSettings = Field(
        default=RemoteWriteSettings(), description="Limits of what a Prometheus writes."
    )
    frames: FrameSettings = Field(default=FrameSettings(), description="Limits of what agents push.")
    snapshot_interval: Duration = Field(
        default=60 * SECOND,
        ge=SECOND,
        description="How often the window and the detectors' state are written to disk, for a restart.",
    )
