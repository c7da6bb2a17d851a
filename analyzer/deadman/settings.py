"""The part `dead_man:` of the section `analyzer:`.

    analyzer:
      dead_man:
        command: [/usr/local/bin/ring, operations]     # or webhook_url, or apprise_urls
        peers:
          expect: [{cluster: berlin}]

The channel here should share as little as possible with the receivers of the section alertmanager.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from alertmanager.matching import parse_matchers
from model.moment import DAY, MINUTE, SECOND
from model.settings import Duration, Problem, Settings, read_secret

PositiveDuration = Annotated[Duration, Field(gt=0)]


class PeerSettings(Settings):
    """Watchdogs: alerts that other servers send without end, so that their silence says something."""

    matchers: tuple[str, ...] = Field(
        ('alertname="Watchdog"',), description="Which alerts are watchdogs: all of these must match."
    )
    silence: PositiveDuration = Field(
        5 * MINUTE, description="A watchdog that was not heard of for so long raises DeadManSilent."
    )
    tier: Literal["P0", "P1", "P2", "P3"] = Field("P1", description="Tier of DeadManSilent.")
    expect: tuple[dict[str, str], ...] = Field(
        (), description="Labels of watchdogs that must be there from the start; others count once seen."
    )
    forget_after: PositiveDuration = Field(
        7 * DAY, description="A watchdog that is not expected and silent for so long is forgotten."
    )


class DeadManSettings(Settings):
    """Who is told, past everything else, that this analyzer is silent. Without a channel nobody is."""

    silence: Duration = Field(
        30 * SECOND, ge=SECOND, description="Without a finished tick for so long it is told."
    )
    webhook_url: SecretStr | None = Field(
        None, description="A POST of Alertmanager's JSON goes there; treated as a secret."
    )
    webhook_url_file: Path | None = Field(None, description="A file that holds the URL.")
    apprise_urls: tuple[SecretStr, ...] = Field((), description="apprise URLs; treated as secrets.")
    apprise_urls_file: Path | None = Field(None, description="A file with one apprise URL a line.")
    command: tuple[str, ...] = Field(
        (), description="A program and its arguments; it gets the message as JSON on its standard input."
    )
    peers: PeerSettings = Field(PeerSettings(), description="Watchdogs of other servers.")

    @model_validator(mode="after")
    def _one_of_them(self) -> DeadManSettings:
        if self.webhook_url is not None and self.webhook_url_file is not None:
            raise ValueError("at most one of webhook_url and webhook_url_file may be set")
        if self.apprise_urls and self.apprise_urls_file is not None:
            raise ValueError("at most one of apprise_urls and apprise_urls_file may be set")
        return self

    @property
    def has_channel(self) -> bool:
        """Whether anybody would be told."""
        places = (self.webhook_url, self.webhook_url_file, self.apprise_urls_file)
        return bool(any(place is not None for place in places) or self.apprise_urls or self.command)

    def channels(self) -> list[dict[str, Any]]:
        """What the child needs to know of each channel, secrets and all. Raises OSError for a file."""
        found: list[dict[str, Any]] = []
        url = read_secret(self.webhook_url, self.webhook_url_file)
        if url:
            found.append({"kind": "webhook", "url": url})
        urls = [one.get_secret_value() for one in self.apprise_urls]
        if self.apprise_urls_file is not None:
            lines = (line.strip() for line in self.apprise_urls_file.read_text().splitlines())
            urls = [line for line in lines if line and not line.startswith("#")]
        if urls:
            found.append({"kind": "apprise", "urls": urls})
        if self.command:
            found.append({"kind": "command", "argv": list(self.command)})
        return found


def problems_of_dead_man(settings: DeadManSettings, file: str = "configuration") -> list[Problem]:
    """What can be known to be wrong before anybody is silent."""
    return [
        Problem(file, f"analyzer.dead_man.{key}", message, hint) for key, message, hint in _wrong(settings)
    ]


def _wrong(settings: DeadManSettings) -> Iterator[tuple[str, str, str]]:
    try:
        channels = settings.channels()
    except (OSError, UnicodeDecodeError) as error:
        yield "", f"a file of it cannot be read: {error}", "check the path and its permissions"
        channels = []
    for channel in channels:
        if channel["kind"] == "webhook" and not channel["url"].startswith(("http://", "https://")):
            yield "webhook_url", "is no URL of a webhook", "it starts with http:// or https://"
        if channel["kind"] == "command" and shutil.which(channel["argv"][0]) is None:
            message = f"{channel['argv'][0]!r} is not a program that can be run"
            yield "command.0", message, "write the whole path of an executable file"
    for position, line in enumerate(settings.peers.matchers):
        try:
            parse_matchers(line)
        except ValueError as error:
            yield f"peers.matchers.{position}", str(error), 'write for example alertname="Watchdog"'
    for position, labels in enumerate(settings.peers.expect):
        if not labels:
            yield f"peers.expect.{position}", "names no label", "write for example cluster: berlin"
