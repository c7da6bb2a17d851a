"""The test file (docs/alerts-testing.md). Durations are ms; offsets count from the beginning of a test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from alertmanager.matching import LabelMatch, parse_matchers
from model.document import read_yaml
from model.matcher import Matcher, Op
from model.moment import HOUR, SECOND, parse_moment
from model.settings import ConfigurationError, Duration, Problem, Settings, load_section


def _moment(value: object) -> int:
    if isinstance(value, datetime):
        return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * SECOND)
    return parse_moment(str(value))


def _texts(value: object) -> object:
    """YAML reads `gpu: 0` as a number; a label's value is text all the same."""
    if isinstance(value, dict):
        return {str(name): text if isinstance(text, str) else str(text) for name, text in value.items()}
    return value


Moment = Annotated[int, BeforeValidator(_moment)]
LabelMap = Annotated[dict[str, str], BeforeValidator(_texts)]
Pattern = str | LabelMap
"""Alerts: a name, matchers as `{node="n1"}`, or labels that they have."""

MONDAY = 1_767_571_200_000
"""2026-01-05T00:00:00Z, when a test begins unless it says otherwise."""


class AlertCase(Settings):
    """An alert that fires from `at` on."""

    at: Duration = Field(0, description="When it begins.")
    for_: Duration | None = Field(None, alias="for", description="How long it fires; to the end without.")
    labels: LabelMap = Field(description="Its labels, with alertname.")
    annotations: LabelMap = Field(default={}, description="Its words.")


class SilenceCase(Settings):
    """A silence that holds from `at` on."""

    at: Duration = Field(0, description="When it begins.")
    for_: Duration = Field(HOUR, alias="for", description="How long it holds.")
    matchers: tuple[str, ...] = Field(min_length=1, description="What it matches, as in a route.")
    comment: str = Field("", description="Why.")

    @model_validator(mode="after")
    def _readable(self) -> SilenceCase:
        for line in self.matchers:
            parse_matchers(line)
        return self


class Expected(Settings):
    """A notification. What is not given is not looked at."""

    at: Duration | None = Field(None, description="When it leaves, to the second.")
    within: Duration | None = Field(None, description="It leaves until this much after `at`, or the start.")
    receiver: str = Field(description="Who is told.")
    group: LabelMap | None = Field(None, description="The labels of the group.")
    firing: tuple[Pattern, ...] | None = Field(None, description="The alerts that fire, all of them.")
    resolved: tuple[Pattern, ...] | None = Field(None, description="The alerts that have ended, all of them.")

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last offset (ms) at which it may leave."""
        first = self.at or 0
        if self.within is not None:
            return first, first + self.within
        return (first, first + SECOND - 1) if self.at is not None else (0, 1 << 60)


class Quiet(Settings):
    """Alerts that nobody is told of, and the stage that keeps them back."""

    alerts: Pattern = Field(description="Which.")
    stage: str = Field("", description="time_intervals, inhibit, silence, topology or flap; any without.")


class Case(Settings):
    """One test."""

    name: str = Field("", description="What it is about.")
    start: Moment = Field(MONDAY, description="The moment of offset 0.")
    until: Duration | None = Field(None, description="How long it lasts.")
    alerts: tuple[AlertCase, ...] = Field(min_length=1, description="What fires.")
    silences: tuple[SilenceCase, ...] = Field((), description="What is silenced.")
    expect: tuple[Expected, ...] = Field((), description="What is sent.")
    others: bool = Field(False, description="Whether further notifications are fine.")
    quiet: tuple[Quiet, ...] = Field((), description="What is not sent.")


class RouteCase(Settings):
    """Where labels go."""

    labels: LabelMap = Field(description="The labels of an alert.")
    receivers: tuple[str, ...] = Field(description="The receivers, in their order.")


class TestFile(Settings):
    """A whole file."""

    __test__ = False

    config_file: Path = Field(description="alertmanager.yml or fleetowl.yml, beside this file.")
    routes: tuple[RouteCase, ...] = Field((), description="Tests of the route tree alone.")
    tests: tuple[Case, ...] = Field((), description="Tests in time.")
    version: PositiveInt = Field(1, le=1, description="Of this format.")

    @model_validator(mode="after")
    def _tests_something(self) -> TestFile:
        if not self.routes and not self.tests:
            raise ValueError("tests nothing: write `routes` or `tests`")
        return self


def load_test_file(path: Path) -> TestFile:
    """The tests in a file. Raises ConfigurationError with everything that is wrong in it."""
    data: Any = read_yaml(path)
    if not isinstance(data, dict):
        hint = "start with `config_file:`"
        raise ConfigurationError([Problem(str(path), "", "holds no mapping", hint)])
    loaded = load_section(TestFile, data, str(path))
    return loaded.model_copy(update={"config_file": path.parent / loaded.config_file})


def matching(pattern: Pattern) -> LabelMatch:
    """What a pattern takes. Raises ValueError for matchers that cannot be read."""
    if isinstance(pattern, dict):
        return LabelMatch([Matcher(name, Op.EQUAL, value) for name, value in pattern.items()])
    if any(sign in pattern for sign in "{}=~,"):
        return LabelMatch(parse_matchers(pattern))
    return LabelMatch([Matcher("alertname", Op.EQUAL, pattern)])
