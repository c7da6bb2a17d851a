"""Settings of the detectors."""

from __future__ import annotations

from pydantic import Field

from detectors.peers.settings import PeerSettings
from detectors.streaming.settings import StreamingSettings
from model.moment import SECOND
from model.settings import Duration, Settings


class DetectorSettings(Settings):
    """The section `detectors`."""

    streaming: StreamingSettings = Field(
        default=StreamingSettings(), description="The detectors of single series: level and cusum."
    )
    peers: PeerSettings = Field(default=PeerSettings(), description="The comparison with peers.")
    moment_interval: Duration = Field(
        5 * SECOND, ge=SECOND, description="Time between two moments at which series are compared."
    )
    moment_grace: Duration = Field(
        2 * SECOND, ge=0, description="How long a moment waits for samples that are on their way."
    )
    enabled: bool = Field(default=True, description="Whether series are scored at all.")
