"""The settings of alerting in a file that is either Fleetowl's own or a plain alertmanager.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alertmanager.settings import AlertmanagerSettings
from analyzer.alerting import explained_by
from analyzer.central import CentralSettings
from fleetowl.configuration import load
from fleetowl.document import SECTIONS, read
from model.settings import load_section
from rules.files import load_rule_files
from rules.packs import shipped

_PLAIN = {"topology": False, "flap": False, "urgent_first": False, "resolve_wait": None, "max_payload": 0}
"""What a plain alertmanager.yml does not have unless its `fleetowl:` section says so."""

Explains = dict[str, tuple[str, ...]]


def load_alerting(path: Path | None) -> tuple[CentralSettings, Explains]:
    """The settings, and what the rules' side files say that alerts explain.

    Raises ConfigurationError with everything that is wrong.
    """
    settings = _load(path)
    if not settings.alertmanager.fleetowl.topology:
        return settings, {}
    rules = settings.rules
    paths = [*(shipped(rules.profile) if rules.shipped else ()), *rules.files]
    return settings, explained_by(load_rule_files(paths, settings.telemetry.retention))


def _load(path: Path | None) -> CentralSettings:
    data = read(path, {}) if path is not None else {}
    if path is None or not data or data.keys() & set(SECTIONS):
        return load(path)
    own: dict[str, Any] = {**data, "fleetowl": {**_PLAIN, **(data.get("fleetowl") or {})}}
    return CentralSettings(alertmanager=load_section(AlertmanagerSettings, own, str(path)))
