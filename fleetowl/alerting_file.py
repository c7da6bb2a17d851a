"""The settings of alerting in a file that is either Fleetowl's own or a plain alertmanager.yml."""

from __future__ import annotations

from pathlib import Path

from alertmanager.configuration_file import load_file
from analyzer.alerting import explained_by
from analyzer.central import CentralSettings
from fleetowl.configuration import load
from fleetowl.document import SECTIONS, read
from rules.files import load_rule_files
from rules.packs import shipped

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
    return CentralSettings(alertmanager=load_file(path))
