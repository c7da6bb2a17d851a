"""Which kinds of receivers can be notified from here, and which are only read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from alertmanager.settings.receivers import IntegrationKind
from alertmanager.settings.root import AlertmanagerSettings
from model.settings import Problem

_WAY_OUT = "send a webhook to a service that can, or name another kind"

NOT_SENT: Mapping[IntegrationKind, str] = {
    "jira": "issues in Jira are not opened from here",
}
"""Kinds that are read and checked, but have no sender; why, in words for the user."""


def problems_of_kinds(settings: AlertmanagerSettings, file: str, key: str = "") -> Iterator[Problem]:
    """An error for each integration that could never notify: silence would be worse than no start."""
    prefix = f"{key}." if key else ""
    for index, receiver in enumerate(settings.receivers):
        for kind, position, _ in receiver.integrations():
            if kind in NOT_SENT:
                place = f"{prefix}receivers.{index}.{kind}_configs.{position}"
                yield Problem(file, place, f"cannot be notified: {NOT_SENT[kind]}", _WAY_OUT)
