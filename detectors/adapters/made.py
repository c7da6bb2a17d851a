"""Which adapter a configured detector needs."""

from __future__ import annotations

from detectors.adapters.of_pyod import PyodDetector
from detectors.adapters.of_river import RiverDetector
from detectors.adapters.settings import CustomSettings


def made(settings: CustomSettings) -> RiverDetector | PyodDetector:
    """The detector of these settings. Raises ValueError where it cannot be kept over a restart."""
    if settings.use.startswith("pyod."):
        return PyodDetector(settings)
    return RiverDetector(settings)
