"""The detectors that the checks are held for: all that there are, with short warm-ups."""

from __future__ import annotations

from detectors.settings import DetectorSettings

SETTINGS = DetectorSettings()
WARM: dict[str, int] = {"level": 130}
"""Ticks after which no false alarm is forgiven, by detector."""
