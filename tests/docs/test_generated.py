"""Documents that list things must list what there is."""

from __future__ import annotations

from pathlib import Path

import yaml

from docs.generate import stale
from rules.packs import shipped

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_generated_pages_are_current() -> None:
    assert stale() == [], "run python -m docs.generate"


def test_every_alert_has_its_page() -> None:
    for path in shipped():
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    link = rule["annotations"]["runbook_url"].rpartition("/")[2]
                    assert (DOCS / "runbooks" / link).is_file(), f"{rule['alert']}: no docs/runbooks/{link}"


def test_the_map_of_the_house_names_every_room() -> None:
    text = (DOCS / "architecture.md").read_text()
    root = DOCS.parent
    rooms = [path.parent.name for path in root.glob("*/__init__.py")]
    assert [room for room in rooms if f"`{room}/`" not in text] == []
