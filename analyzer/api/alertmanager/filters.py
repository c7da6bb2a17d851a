"""What a request wants to see: flags, matchers, receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aiohttp import web

from alertmanager.matching import parse_matcher
from analyzer.api.alertmanager.answers import Refused
from model.matcher import Matcher, Op
from telemetry.matching import InvalidMatcher, expression, predicate

_TRUE = frozenset(("true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"))
"""What go-openapi takes for true; anything else is false."""

Wanted = Callable[[Mapping[str, str]], bool]


def flag(request: web.Request, name: str) -> bool:
    """A flag; true where it is not given."""
    return request.query.get(name, "true").lower() in _TRUE


def matchers(request: web.Request, name: str = "filter") -> list[Matcher]:
    """The matchers of a parameter that may be repeated. Raises Refused."""
    try:
        return [parse_matcher(text) for text in request.query.getall(name, [])]
    except ValueError as error:
        raise Refused(400, f"bad {name}: {error}") from error


def fitting(asked: Iterable[Matcher]) -> Wanted:
    """Whether labels fit all matchers. Source: Alertmanager's matchFilterLabels.

    `name=""` wants a label that is missing, `name!=""` one that is there.
    """
    conditions = [(one, predicate(one)) for one in asked]

    def fits(labels: Mapping[str, str]) -> bool:
        for matcher, matches in conditions:
            there = matcher.name in labels
            if not matcher.value and there is (matcher.op in (Op.NOT_EQUAL, Op.NOT_MATCHES)):
                continue
            if not matches(labels.get(matcher.name, "")):
                return False
        return True

    return fits


def receivers(request: web.Request, labels: Mapping[str, Mapping[str, str]]) -> Callable[[str], bool]:
    """Whether a receiver is asked for; `labels` are those of each by name. Raises Refused."""
    asked = request.query.get("receiver")
    try:
        wanted = None if asked is None else expression(asked)
    except InvalidMatcher as error:
        raise Refused(400, f"failed to parse receiver param: {error}") from error
    fits = fitting(matchers(request, "receiver_matchers"))

    def takes(name: str) -> bool:
        return (wanted is None or wanted.fullmatch(name) is not None) and fits(labels.get(name, {}))

    return takes
