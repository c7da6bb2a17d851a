"""What an evaluation knows: the window, the moment, the limits, and what it has to say beside the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from model.moment import MINUTE, SECOND
from rules.promql.frame import Shelf
from telemetry.window import Window

LOOKBACK = 5 * MINUTE
DEFAULT_INTERVAL = 15 * SECOND


@dataclass(frozen=True, slots=True)
class Options:
    """How expressions are evaluated; times in ms.

    `lookback` is how old the sample of an instant selector may be. `default_interval` stands in for the
    scrape interval of a series that is not known to have one. `subquery_step` is the step of `[5m:]`.
    `max_series` is how many series one selector may touch, `max_steps` how many moments all subqueries of
    a query together may be evaluated at; 0 for no limit. `shelf` holds the frames that
    expressions share, where they do.
    """

    lookback: int = LOOKBACK
    default_interval: int = DEFAULT_INTERVAL
    subquery_step: int = MINUTE
    max_series: int = 0
    max_steps: int = 0
    shelf: Shelf | None = None


DEFAULT_OPTIONS = Options()


@dataclass(slots=True)
class Notes:
    """Annotations, as Prometheus calls them: what is dubious in an answer, each sentence once, in order."""

    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)

    def warn(self, sentence: str) -> None:
        """The answer is probably not what was meant."""
        self.warnings[f"PromQL warning: {sentence}"] = None

    def inform(self, sentence: str) -> None:
        """The answer may not be what was meant."""
        self.infos[f"PromQL info: {sentence}"] = None


@dataclass(frozen=True, slots=True)
class Query:
    """What all moments of a query share: from `start` to `end` (ms; equal for an instant query).

    `memo` is where nodes keep what a later moment of the same query can use again.
    """

    window: Window
    start: int
    end: int
    options: Options
    notes: Notes
    memo: dict[object, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """One moment `at` (ms) of a query."""

    query: Query
    at: int

    @property
    def window(self) -> Window:
        """Where the series are."""
        return self.query.window

    @property
    def options(self) -> Options:
        """How the query is evaluated."""
        return self.query.options

    @property
    def notes(self) -> Notes:
        """Where to say what is dubious."""
        return self.query.notes
