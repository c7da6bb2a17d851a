"""docs/detection.md names every built-in detector, with the sentence that it says of itself."""

from __future__ import annotations

from pathlib import Path

from detectors.engine import Scoring
from detectors.settings import DetectorSettings
from telemetry.window import Window

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "detection.md"


def test_every_detector_is_there_with_its_sentence() -> None:
    page = PAGE.read_text()
    for detector in Scoring(Window(), DetectorSettings()).detectors:
        assert f"| `{detector.name}` | " in page
        assert detector.fails in page, detector.name
