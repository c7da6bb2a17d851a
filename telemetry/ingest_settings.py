"""What may come in, and how it is treated, for each of the three ways into the window."""

from __future__ import annotations

from pydantic import Field

from model.moment import DAY
from model.settings import Duration, Settings, Size
from telemetry.relabel import RelabelConfig
from wire.frames import FrameLimits

_MEBIBYTE = 1024 * 1024


class IngestSettings(Settings):
    """How the samples of one scrape target are treated: the part of a scrape configuration about samples."""

    honor_labels: bool = Field(
        False,
        description="Keep a target's own label where it clashes with ours; else it becomes `exported_*`.",
    )
    honor_timestamps: bool = Field(True, description="Take the times that a target gives to its samples.")
    metric_relabel_configs: list[RelabelConfig] = Field(default=[], description="Relabelling of samples.")
    sample_limit: int = Field(0, ge=0, description="More samples fail the scrape; 0 is no limit.")
    label_limit: int = Field(0, ge=0, description="More labels on a series fail the scrape; 0 is no limit.")
    label_name_length_limit: int = Field(
        0, ge=0, description="A longer label name fails the scrape; 0: none."
    )
    label_value_length_limit: int = Field(
        0, ge=0, description="A longer label value fails the scrape; 0: none."
    )


class RemoteWriteSettings(Settings):
    """Limits of the remote-write receiver."""

    body_size_limit: Size = Field(
        32 * _MEBIBYTE, gt=0, description="A request may have so many bytes, compressed or not; else 413."
    )
    labels: int = Field(128, gt=0, description="Labels of a series, the name included.")
    label_name_length: int = Field(1024, gt=0, description="Bytes of a label's name.")
    label_value_length: int = Field(16 * 1024, gt=0, description="Bytes of a label's value.")
    senders: int = Field(256, gt=0, description="Senders whose series are remembered in spelled-out form.")
    cached_series: int = Field(250_000, gt=0, description="Series remembered for each sender.")


class FrameSettings(Settings):
    """Limits of the frame receiver, and what becomes of nodes that fall silent."""

    nodes: int = Field(20_000, gt=0, description="Nodes known at once; frames of further ones are refused.")
    schemas: int = Field(16, gt=0, description="Schemas remembered for each node.")
    forget_after: Duration = Field(
        DAY, gt=0, description="A node silent for so long, without a farewell, is no longer reported as down."
    )
    frames: int = Field(10_000, gt=0, description="Frames in one request.")
    frame_size_limit: Size = Field(16 * _MEBIBYTE, gt=0, description="Bytes of a frame's content, inflated.")
    series: int = Field(200_000, gt=0, description="Series of one schema.")
    labels: int = Field(128, gt=0, description="Labels of a series, the name included.")
    label_length: int = Field(16 * 1024, gt=0, description="Characters of a label's name or value.")

    @property
    def limits(self) -> FrameLimits:
        """What the decoder of frames is to take."""
        return FrameLimits(self.frames, self.frame_size_limit, self.series, self.labels, self.label_length)
