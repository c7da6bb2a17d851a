"""What can be known to be wrong with receivers before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alertmanager.receivers.apprise_urls import scheme, urls_of
from alertmanager.settings import AlertmanagerSettings, AppriseConfig, IntegrationConfig, WebhookConfig
from model.settings import Problem


def problems_of_receivers(settings: AlertmanagerSettings, file: str, key: str = "") -> list[Problem]:
    """Secret files that cannot be read, and apprise URLs that apprise does not understand."""
    found = []
    prefix = f"{key}." if key else ""
    for index, receiver in enumerate(settings.receivers):
        for kind, position, config in receiver.integrations():
            place = f"{prefix}receivers.{index}.{kind}_configs.{position}"
            found += [
                Problem(file, f"{place}.{name}", message, hint) for name, message, hint in _wrong(config)
            ]
    return found


def _wrong(config: IntegrationConfig) -> Iterator[tuple[str, str, str]]:
    if isinstance(config, WebhookConfig):
        yield from _unreadable("url_file", config.url_file)
    elif isinstance(config, AppriseConfig):
        unreadable = list(_unreadable("urls_file", config.urls_file))
        yield from unreadable or _not_understood(config)


def _unreadable(name: str, path: Path | None) -> Iterator[tuple[str, str, str]]:
    if path is not None:
        try:
            path.read_bytes()
        except OSError as error:
            yield name, f"{path} cannot be read: {error.strerror}", "check the path and its permissions"


def _not_understood(config: AppriseConfig) -> Iterator[tuple[str, str, str]]:
    import apprise  # late: it takes a fifth of a second, and most configurations have none

    for position, url in enumerate(urls_of(config)):
        if not apprise.Apprise().add(url):
            message = f"the URL ({scheme(url)}://…) is none that apprise understands"
            yield f"urls.{position}", message, "see the list of services in apprise's documentation"
