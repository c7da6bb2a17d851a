"""/api/v1/rules and /api/v1/alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiohttp import web

from analyzer.api.bodies import Answered
from analyzer.api.errors import ApiError, Handler, bad_parameter
from analyzer.api.parameters import Parameters, parameters
from analyzer.api.turns import Turns
from analyzer.formats import encode
from analyzer.pipeline import Pipeline
from model.matcher import Matcher
from telemetry.matching import predicate

Document = dict[str, Any]
_KINDS = {"": "", "alert": "alerting", "record": "recording"}


class RulesApi:
    """Answers from the rules as they run now."""

    def __init__(self, pipeline: Callable[[], Pipeline], turns: Turns) -> None:
        self._pipeline = pipeline
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/rules", self.rules
        yield "GET", "/api/v1/alerts", self.alerts

    async def rules(self, request: web.Request) -> web.Response:
        """The groups with their rules and alerts, as far as the parameters select them."""
        asked = await parameters(request)
        groups = selected(self._groups(), asked)
        page, token = paged(groups, asked)
        async with self._turns.take(request) as turn:
            body = Answered(turn)
            body.add('{"groups":')
            await body.add_list(map(encode, page))
            body.add(f',"groupNextToken":{encode(token)}}}' if token else "}")
        body.close()
        return await body.sent(request)

    async def alerts(self, request: web.Request) -> web.Response:
        """Pending and firing alerts."""
        async with self._turns.take(request) as turn:
            rules = (rule for group in self._groups() for rule in group["rules"])
            alerts = (encode(alert) for rule in rules for alert in rule.get("alerts", ()))
            body = Answered(turn)
            body.add('{"alerts":')
            await body.add_list(alerts)
            body.add("}")
        body.close()
        return await body.sent(request)

    def _groups(self) -> list[Document]:
        groups: list[Document] = self._pipeline().rules.document()["groups"]
        return groups


def selected(groups: Sequence[Document], asked: Parameters) -> list[Document]:
    """The groups with the rules that the parameters ask for; none without rules. Raises ApiError."""
    if asked.text("type") not in _KINDS:
        raise bad_parameter("type", f'not supported value "{asked.text("type")}"')
    kind, names = _KINDS[asked.text("type")], asked.texts("rule_name[]")
    selectors, quiet = asked.selectors(), asked.flag("exclude_alerts")
    found = []
    for group in groups:
        if not _wanted(group["name"], asked.texts("rule_group[]")):
            continue
        if not _wanted(group["file"], asked.texts("file[]")):
            continue
        rules = [
            {**rule, "alerts": []} if quiet and "alerts" in rule else rule
            for rule in group["rules"]
            if kind in ("", rule["type"]) and _wanted(rule["name"], names) and _matches(rule, selectors)
        ]
        if rules:
            found.append({**group, "rules": rules})
    return found


def _wanted(value: str, wanted: list[str]) -> bool:
    return not wanted or value in wanted


def _matches(rule: Document, selectors: list[tuple[Matcher, ...]]) -> bool:
    """Whether one of the selectors matches the rule's labels as written, templates not filled in."""
    labels: dict[str, str] = rule["labels"]
    return not selectors or any(
        all(predicate(one)(labels.get(one.name, "")) for one in matchers) for matchers in selectors
    )


def paged(groups: list[Document], asked: Parameters) -> tuple[list[Document], str]:
    """`group_limit` groups from `group_next_token` on, and the token of the next page. Raises ApiError."""
    limit, token = asked.number("group_limit"), asked.text("group_next_token")
    if token and not limit:
        why = "group_limit needs to be present in order to paginate over the groups"
        raise bad_parameter("group_next_token", why)
    tokens = [token_of(group) for group in groups]
    if token and token not in tokens:
        raise ApiError(400, "bad_data", f"invalid group_next_token '{token}'. were rule groups changed?")
    first = tokens.index(token) if token else 0
    last = first + limit if limit else len(groups)
    return groups[first:last], tokens[last] if last < len(groups) else ""


def token_of(group: Document) -> str:
    """What names a group between two pages."""
    return hashlib.sha256(f"{group['file']};{group['name']}".encode()).hexdigest()[:40]
