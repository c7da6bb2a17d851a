"""Which detectors there are, from the settings."""

from __future__ import annotations

from detectors.contract import MomentDetector, StreamDetector
from detectors.level import LevelDetector
from detectors.settings import DetectorSettings


def detectors_of(settings: DetectorSettings) -> list[StreamDetector | MomentDetector]:
    """All that are switched on, in the order in which they see a sample."""
    return [LevelDetector(settings.level)]
