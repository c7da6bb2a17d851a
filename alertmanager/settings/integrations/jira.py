"""Jira."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, Text
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Duration, Settings


class JiraField(Settings):
    """A field of the issue: its template, and whether it follows changes."""

    template: Text = Field("", description="The field's text, a template.")
    enable_update: bool = Field(True, description="Whether it follows changes.")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        return {"template": data} if isinstance(data, str) else data


class JiraLabels(Settings):
    """The labels of the issue, and whether they follow changes."""

    values: tuple[Text, ...] = Field((), description="Labels; they are templates.")
    enable_update: bool = Field(True, description="Whether they follow changes.")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        return {"values": data} if isinstance(data, list) else data


class JiraConfig(HTTPIntegration):
    """An issue in Jira."""

    api_url: URL | None = Field(None, description="The API; else global.jira_api_url.")
    api_type: Literal["auto", "cloud", "datacenter"] = Field("auto", description="Whose API it is.")
    project: Text = Field("", description="The project.")
    issue_type: Text = Field("", description="The type of the issue.")
    summary: JiraField = Field(
        JiraField(template='{{ template "jira.default.summary" . }}'), description="The headline."
    )
    description: JiraField = Field(
        JiraField(template='{{ template "jira.default.description" . }}'), description="The text."
    )
    labels: JiraLabels = Field(JiraLabels(), description="Labels.")
    priority: Text = Field('{{ template "jira.default.priority" . }}', description="Priority.")
    reopen_transition: Text = Field("", description="The transition that opens an issue again.")
    resolve_transition: Text = Field("", description="The transition that resolves an issue.")
    wont_fix_resolution: Text = Field("", description="Issues with this resolution stay closed.")
    reopen_duration: Duration = Field(0, description="How long after its end an issue is opened again.")
    fields: dict[str, Any] = Field(default={}, description="Further fields.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("project", "issue_type"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be given")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL."""
        url = self.api_url or common.jira_api_url
        if url is None:
            raise ValueError("api_url must be given, here or as global.jira_api_url")
        return super().inherit(common)._with(api_url=url)
