"""The settings of everything that the central process runs, one section per room."""

from __future__ import annotations

from typing import Self

from pydantic import Field, PrivateAttr

from alertmanager.settings import AlertmanagerSettings
from analyzer.settings import AnalyzerSettings
from detectors.settings import DetectorSettings
from incidents.settings import IncidentSettings
from model.settings import Settings
from rules.settings import RuleSettings
from runbooks.settings import RunbookSettings
from telemetry.scrape import ScrapeConfigs
from telemetry.settings import TelemetrySettings


class CentralSettings(Settings):
    """The sections of the central process. Each may be left out."""

    analyzer: AnalyzerSettings = Field(
        default_factory=AnalyzerSettings, description="The central process: its address, its state."
    )
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="The window: retention and limits."
    )
    scrape_configs: ScrapeConfigs = Field(
        [], description="What the analyzer scrapes itself, spelled as in prometheus.yml."
    )
    detectors: DetectorSettings = Field(default_factory=DetectorSettings, description="Anomaly detection.")
    rules: RuleSettings = Field(default_factory=RuleSettings, description="Alerting and recording rules.")
    alertmanager: AlertmanagerSettings = Field(
        default_factory=AlertmanagerSettings, description="Routes and receivers of notifications."
    )
    incidents: IncidentSettings = Field(
        default_factory=IncidentSettings, description="How alerts become incidents."
    )
    runbooks: RunbookSettings = Field(
        default_factory=RunbookSettings, description="Automatic answers; dry run unless told otherwise."
    )

    _file: str = PrivateAttr("configuration")

    @property
    def file(self) -> str:
        """How errors call the source of these settings: the path of their file."""
        return self._file

    def of_file(self, name: str) -> Self:
        """These settings as those of a file."""
        own = self.model_copy()
        own._file = name
        return own
