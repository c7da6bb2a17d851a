"""The real Alertmanager and ours side by side: one configuration, the same posts at the same moments.

A scenario is a coroutine that gets a Side and posts to it; it runs once on each, all scenarios at once. Each
has a label `sc` of its own, by which the routes tell them apart.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from bench.alerts.contenders import Contender, Fleetowl, RealAlertmanager
from bench.alerts.storm import rfc3339
from tests.acceptance.processes import serve

SIDES: tuple[type[Contender], ...] = (RealAlertmanager, Fleetowl)
LONG = 120.0


@dataclass(frozen=True)
class Told:
    """One notification: seconds since the beginning, receiver, group, status, alerts.

    An alert is its name, its status, its start (whole seconds since the beginning) and its annotation `v`.
    """

    at: float
    receiver: str
    group: tuple[tuple[str, str], ...]
    status: str
    alerts: tuple[tuple[str, str, int, str], ...]

    @property
    def content(self) -> tuple[Any, ...]:
        """All but the moment."""
        return self.receiver, self.group, self.status, self.alerts


@dataclass
class Side:
    """One of the two, as one scenario sees it."""

    url: str
    scenario: str
    zero: float
    session: aiohttp.ClientSession
    seen: dict[str, Any] = field(default_factory=dict)
    """What the scenario read from the API, to be equal on both sides."""

    async def until(self, second: float) -> None:
        """Wait for a moment of the scenario."""
        await asyncio.sleep(max(0.0, self.zero + second - time.time()))

    async def fire(
        self, *names: str, since: float = 0, ends: float | None = LONG, v: str = "", **labels: str
    ) -> None:
        """Post alerts that began at `since` and end at `ends` (s; None says nothing of the end)."""
        await self.post([self.alert(name, since, ends, v, labels) for name in names])

    def alert(
        self, name: str, since: float, ends: float | None, v: str, labels: dict[str, str]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "labels": {"alertname": name, "sc": self.scenario, **labels},
            "annotations": {"v": v} if v else {},
            "startsAt": rfc3339(self.zero + since),
        }
        if ends is not None:
            found["endsAt"] = rfc3339(self.zero + ends)
        return found

    async def post(self, alerts: list[dict[str, Any]]) -> int:
        async with self.session.post(f"{self.url}/api/v2/alerts", json=alerts) as answer:
            return answer.status

    async def silence(self, second: float, **labels: str) -> str:
        """Silence alerts of this scenario with these labels from now until `second`; its id."""
        matchers = [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in {"sc": self.scenario, **labels}.items()
        ]
        body = {
            "matchers": matchers,
            "startsAt": rfc3339(time.time()),
            "endsAt": rfc3339(self.zero + second),
            "createdBy": "t",
            "comment": "t",
        }
        async with self.session.post(f"{self.url}/api/v2/silences", json=body) as answer:
            return str((await answer.json())["silenceID"])

    async def expire(self, silence: str) -> None:
        async with self.session.delete(f"{self.url}/api/v2/silence/{silence}") as answer:
            assert answer.status == 200, await answer.text()

    async def get(self, path: str, *filters: str, **parameters: str) -> Any:
        """JSON of the API, of this scenario's alerts only."""
        query = [("filter", f'sc="{self.scenario}"'), *(("filter", each) for each in filters)]
        query += list(parameters.items())
        async with self.session.get(f"{self.url}/api/v2/{path}", params=query) as answer:
            return await answer.json()

    async def states(self, *filters: str, **parameters: str) -> dict[str, tuple[str, int, int]]:
        """By name: state, number of silences, number of inhibitors."""
        return {
            one["labels"]["alertname"]: (
                one["status"]["state"],
                len(one["status"]["silencedBy"]),
                len(one["status"]["inhibitedBy"]),
            )
            for one in await self.get("alerts", *filters, **parameters)
        }


Scenario = Callable[[Side], Awaitable[None]]


@dataclass
class Outcome:
    """Of one scenario on one side."""

    told: list[Told]
    seen: dict[str, Any]


class Hook:
    """A webhook at /SIDE/RECEIVER; one whose name ends with `fails-N` says 500 to the first N."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float, dict[str, Any]]] = []
        self._refused: dict[str, int] = defaultdict(int)

    async def take(self, request: web.Request) -> web.Response:
        path, at, body = request.path, time.time(), await request.json()
        receiver = path.rpartition("/")[2]
        if "fails-" in receiver and self._refused[path] < int(receiver.rpartition("-")[2]):
            self._refused[path] += 1
            return web.Response(status=500)
        self.heard.append((path, at, body))
        return web.Response()


def configuration(routes: dict[str, list[dict[str, Any]]], base: dict[str, Any], url: str) -> dict[str, Any]:
    """One child a scenario and receiver; all receivers are webhooks at `url`."""
    children, receivers = [], {}
    for scenario, parts in routes.items():
        for place, part in enumerate(parts):
            given = dict(part)
            name = given.setdefault("receiver", scenario if not place else f"{scenario}{place}")
            resolved = given.pop("send_resolved", True)
            given["matchers"] = [f'sc="{scenario}"', *given.get("matchers", [])]
            given["continue"] = place + 1 < len(parts)
            children.append(given)
            hook = {"url": f"{url}{name}", "send_resolved": resolved}
            receivers[name] = {"name": name, "webhook_configs": [hook]}
    route = {"receiver": "nobody", "routes": children, "group_by": ["sc"]}
    route |= {"group_wait": "1s", "group_interval": "3s", "repeat_interval": "1h"}
    return {**base, "route": route, "receivers": [{"name": "nobody"}, *receivers.values()]}


async def run(
    folder: Path,
    scenarios: dict[str, Scenario],
    routes: dict[str, list[dict[str, Any]]],
    base: dict[str, Any],
) -> dict[str, dict[str, Outcome]]:
    """Every scenario on both sides; outcomes by scenario and side."""
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{path:.*}", hook.take)
    runner, url = await serve(app)
    started: list[Contender] = []
    try:
        for kind in SIDES:
            place = folder / kind.name
            place.mkdir()
            plain = configuration(routes, base, f"{url}{kind.name}/")
            if kind is Fleetowl:
                (place / "alertmanager.yml").write_text(yaml.safe_dump(plain))
                quiet = {"rules": {"shipped": False}, "runbooks": {"shipped": False}}
                section = {"config_file": str(place / "alertmanager.yml")}
                started.append(Fleetowl(place, section, quiet, tick="200ms"))
            else:
                started.append(RealAlertmanager(place, plain))
        await asyncio.gather(*(asyncio.to_thread(one.__enter__) for one in started))
        return await _all(started, scenarios, hook)
    finally:
        await asyncio.gather(*(asyncio.to_thread(one.__exit__, None, None, None) for one in started))
        await runner.cleanup()


async def _all(
    started: list[Contender], scenarios: dict[str, Scenario], hook: Hook
) -> dict[str, dict[str, Outcome]]:
    zero = float(int(time.time()) + 2)
    async with aiohttp.ClientSession() as session:
        sides = {
            (name, one.name): Side(one.url, name, zero, session) for name in scenarios for one in started
        }
        await asyncio.gather(*(_one(scenarios[name], side) for (name, _), side in sides.items()))
    found: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for (name, side_name), side in sides.items():
        found[name][side_name] = Outcome(_told(hook, side_name, name, zero), side.seen)
    return found


async def _one(scenario: Scenario, side: Side) -> None:
    await side.until(0)
    await scenario(side)


def _told(hook: Hook, side: str, scenario: str, zero: float) -> list[Told]:
    found = []
    for path, at, body in hook.heard:
        if path.startswith(f"/{side}/") and body["commonLabels"].get("sc") == scenario:
            alerts = sorted(
                (
                    alert["labels"]["alertname"],
                    alert["status"],
                    round(datetime.fromisoformat(alert["startsAt"]).timestamp() - zero),
                    alert["annotations"].get("v", ""),
                )
                for alert in body["alerts"]
            )
            group = tuple(sorted(body["groupLabels"].items()))
            found.append(Told(at - zero, body["receiver"], group, body["status"], tuple(alerts)))
    return sorted(found, key=lambda one: (one.receiver, one.group, one.at))


def described(told: list[Told]) -> str:
    """For a failure."""
    return json.dumps([(round(one.at, 1), *one.content) for one in told], indent=1)
