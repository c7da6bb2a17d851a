"""Every series that the detectors make is declared, with its labels and what it means."""

from __future__ import annotations

from detectors.engine import Scoring
from detectors.feedback.book import WEIGHT
from detectors.results import RESULTS
from detectors.settings import DetectorSettings
from docs.generate import metrics_page
from telemetry.window import Window


def test_what_detectors_say_and_people_think_of_it_is_declared() -> None:
    said = {name for one in Scoring(Window(), DetectorSettings()).detectors for name in one.results}
    assert {result.name for result in RESULTS} == {*said, WEIGHT}
    assert all(result.help.endswith(".") and result.labels for result in RESULTS)


def test_the_page_of_metrics_lists_them() -> None:
    page = metrics_page()
    section = page[page.index("## Results of the detectors") :]
    assert all(f"| `{result.name}` |" in section for result in RESULTS)
