"""Types for matchers in the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from alertmanager.matching import parse_matchers, regexp_error
from alertmanager.settings.common import Text, as_text
from telemetry.matching import InvalidMatcher, expression


def _readable(line: str) -> str:
    try:
        parse_matchers(line)
    except ValueError as error:
        raise ValueError(f'{line!r} cannot be read: {error}: write for example tier="P0"') from error
    return line


def _regexp(text: str) -> str:
    try:
        expression(f"^(?:{text})$")
    except InvalidMatcher as error:
        raise ValueError(f"{text!r} is not an RE2 regular expression: {regexp_error(text)}") from error
    return text


MatcherLines = tuple[Annotated[Text, AfterValidator(_readable)], ...]
"""Lines of matchers, each in one of Alertmanager's two syntaxes."""


def _there(value: object) -> object:
    if value is None:
        raise ValueError("needs a regular expression")
    return as_text(value)


Regexp = Annotated[str, BeforeValidator(_there), AfterValidator(_regexp)]
"""A regular expression of RE2; it is anchored at both ends."""
