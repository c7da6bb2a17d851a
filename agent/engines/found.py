"""What discovery finds: an engine to scrape, or the reason why something that asked for it is not."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from agent.engines.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Found:
    """One engine. `key` stays the same as long as it is the same one."""

    key: Hashable
    settings: EngineSettings
    started: float | None = None
    """When its container began, in unixtime; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was to be an engine and cannot be one. `reason` is a word for a metric's label."""

    who: str
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """One look."""

    engines: tuple[Found, ...] = ()
    refused: tuple[Refused, ...] = field(default=())


class DiscoveryFailed(Exception):
    """The look brought nothing; what was found before stays. `kind` is a word for a metric's label."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind
