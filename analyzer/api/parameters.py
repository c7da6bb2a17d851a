"""The parameters of a request to Prometheus' API, those of a POST form before those of the URL."""

from __future__ import annotations

import math

import promql_parser
from aiohttp import web

from analyzer.api.errors import bad_parameter
from model.matcher import Matcher
from model.moment import SECOND, parse_duration, parse_moment
from rules.promql.errors import PromQLError
from rules.promql.tree import matchers_of, parsed

MOST_SELECTORS = 256
FARTHEST = 1 << 53
"""Moments (ms) are brought to within this of the epoch: clients send the ends of time for "from ever"."""

_ENDS_OF_TIME = {
    "-292273086-05-16T16:47:06Z": -FARTHEST,
    "292277025-08-18T07:12:54.999999999Z": FARTHEST,
}
"""How Go's Prometheus client spells its least and greatest time."""


class Parameters:
    """Named values, each perhaps several times. What is not known is ignored, as in Prometheus."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """The first value, empty where there is none."""
        return next(iter(self._values.get(name, ())), "")

    def texts(self, name: str) -> list[str]:
        """All values."""
        return self._values.get(name, [])

    def moment(self, name: str, default: int | None = None) -> int:
        """Unix seconds or RFC 3339, as ms. Without a default it must be there. Raises ApiError."""
        text = self.text(name)
        if not text and default is not None:
            return default
        if text in _ENDS_OF_TIME:
            return _ENDS_OF_TIME[text]
        try:
            found = parse_moment(text)
        except ValueError as error:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid timestamp') from error
        return max(-FARTHEST, min(found, FARTHEST))

    def duration(self, name: str) -> int:
        """Seconds or a Prometheus duration, as ms, at most FARTHEST. Raises ApiError."""
        text = self.text(name)
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        try:
            if math.isfinite(seconds):
                return round(max(-FARTHEST, min(seconds * SECOND, FARTHEST)))
            return min(parse_duration(text), FARTHEST)
        except ValueError as error:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid duration') from error

    def number(self, name: str) -> int:
        """A count, 0 where it is not given. Raises ApiError."""
        text = self.text(name)
        if not text:
            return 0
        try:
            found = int(text)
        except ValueError as error:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid number') from error
        if found < 0:
            raise bad_parameter(name, f"{found} is negative")
        return found

    def flag(self, name: str) -> bool:
        """True or false, false where it is not given. Raises ApiError."""
        text = self.text(name).lower()
        if text not in _FLAGS:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid bool')
        return _FLAGS[text]

    def selectors(self, name: str = "match[]") -> list[tuple[Matcher, ...]]:
        """The matchers of each selector. Raises ApiError."""
        texts = self.texts(name)
        if len(texts) > MOST_SELECTORS:
            raise bad_parameter(name, f"{len(texts)} selectors are given, {MOST_SELECTORS} are the most")
        return [selector(text, name) for text in texts]

    def span(self) -> tuple[int, int]:
        """`start` and `end` (ms); from the beginning of time to its end unless given. Raises ApiError."""
        return self.moment("start", -FARTHEST), self.moment("end", FARTHEST)


_FLAGS = {"": False, **dict.fromkeys(("1", "t", "true"), True), **dict.fromkeys(("0", "f", "false"), False)}


async def parameters(request: web.Request) -> Parameters:
    """What a GET or a POST form says."""
    values: dict[str, list[str]] = {}
    form = (await request.post()).items() if request.method == "POST" else ()
    for name, value in (*form, *request.query.items()):
        if isinstance(value, str):
            values.setdefault(name, []).append(value)
    return Parameters(values)


def selector(text: str, name: str = "match[]") -> tuple[Matcher, ...]:
    """The matchers of a series selector such as `up{job="a"}`. Raises ApiError."""
    try:
        found = parsed(text)
        if not isinstance(found, promql_parser.VectorSelector) or found.offset or found.at:
            raise PromQLError(f"{text} is no series selector")
        if found.matchers.or_matchers:
            raise PromQLError(f"`or` between matchers is no PromQL: {text}")
        return tuple(matchers_of(found))
    except (PromQLError, ValueError) as error:
        raise bad_parameter(name, str(error)) from error
