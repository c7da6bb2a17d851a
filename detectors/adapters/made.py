"""Which adapter a configured detector needs."""

from __future__ import annotations

from detectors.adapters.of_entities import PyodOfEntities, RiverOfEntities, Rosters
from detectors.adapters.of_pyod import PyodDetector
from detectors.adapters.of_river import RiverDetector
from detectors.adapters.settings import CustomSettings


def made(
    settings: CustomSettings, rosters: Rosters
) -> RiverDetector | PyodDetector | RiverOfEntities | PyodOfEntities:
    """The detector of these settings. Raises ValueError where it cannot be kept over a restart."""
    if settings.use.startswith("pyod."):
        return PyodOfEntities(settings, rosters) if settings.entity else PyodDetector(settings)
    return RiverOfEntities(settings, rosters) if settings.entity else RiverDetector(settings)
