"""Killed with -9 at any moment while alerts fire: no notification is lost, none is sent twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.processes import Process, Webhook, scraped_each_second, told_at_once, wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[..., Awaitable[Process]]
Expose = Callable[[Callable[[], str]], Awaitable[tuple[str, web.AppRunner]]]

RULES = """
groups:
  - name: kills
    rules:
      - alert: Hot
        expr: temperature > 80
        labels: {tier: P1}
      - alert: HotForLong
        expr: min_over_time(temperature[20s]) > 80
        labels: {tier: P2}
"""


def settings(folder: Path, address: str, alertmanager: dict[str, Any]) -> dict[str, Any]:
    """Those of an analyzer with the rules above over one page."""
    rules = folder / "kills.rules.yml"
    rules.write_text(RULES)
    return {
        "scrape_configs": [scraped_each_second(address)],
        "rules": {"files": [str(rules)], "shipped": False, "evaluation_interval": "1s"},
        "alertmanager": alertmanager,
    }


async def test_restart_loses_and_repeats_nothing(
    tmp_path: Path, start: Start, webhook: Webhook, expose: Expose
) -> None:
    temperature = dict.fromkeys("abcdef", 90.0)
    address, _ = await expose(
        lambda: "".join(f'temperature{{room="{room}"}} {value}\n' for room, value in temperature.items())
    )
    alertmanager = told_at_once(webhook, "alertname", "room")
    alertmanager["fleetowl"] = {"topology": False, "flap": False}  # each alert is told for itself
    process = await start("analyzer", settings(tmp_path, address, alertmanager))

    def told(name: str, status: str) -> set[str]:
        return {
            alert["labels"]["room"]
            for body in webhook.bodies
            for alert in body["alerts"]
            if (alert["labels"]["alertname"], alert["status"]) == (name, status)
        }

    async def all_told(name: str, status: str, rooms: str) -> bool:
        return told(name, status) >= set(rooms)

    await wait_for(lambda: all_told("Hot", "firing", "abcdef"), 20, "six alerts\n" + process.tail())
    chance = random.Random(7)
    for _ in range(3):
        await process.kill()
        await asyncio.sleep(chance.random())
        await process.start()
        await process.ready()
        await asyncio.sleep(chance.uniform(1, 3))
    temperature["a"] = 20.0  # ends while the process lives
    await wait_for(lambda: all_told("Hot", "resolved", "a"), 30, "a resolves\n" + process.tail())
    await process.kill()
    temperature["b"] = 20.0  # ends while it is dead
    await process.start()
    await process.ready()
    await wait_for(lambda: all_told("Hot", "resolved", "ab"), 40, "b resolves\n" + process.tail())
    await wait_for(lambda: all_told("HotForLong", "firing", "cdef"), 60, "the long rule\n" + process.tail())
    await asyncio.sleep(3)
    assert all(webhook.keys), "without keys the check below would prove nothing"
    assert len(set(webhook.keys)) > len("abcdef"), "each state of a group has a key of its own"
    keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for body, key in zip(webhook.bodies, webhook.keys, strict=True):
        for alert in body["alerts"]:
            labels = alert["labels"]
            keys[labels["alertname"], labels["room"], alert["status"], alert["startsAt"]].add(key)
    assert told("Hot", "resolved") == {"a", "b"}
    # A kill between the answer and our record of it sends again, with the key by which a receiver knows it.
    assert [what for what, sent in keys.items() if len(sent) > 1 and what[2] == "firing"] == []
    hot = Counter(key[1] for key in keys if key[0] == "Hot" and key[2] == "firing")
    assert hot == dict.fromkeys("abcdef", 1), "a resolve-and-fire-again has a new startsAt"


async def test_a_receiver_that_was_away_learns_it_after_a_kill(
    tmp_path: Path, start: Start, webhook: Webhook, expose: Expose
) -> None:
    webhook.status = 503
    address, _ = await expose(lambda: 'temperature{room="a"} 90\n')
    process = await start("analyzer", settings(tmp_path, address, told_at_once(webhook, "alertname")))

    async def failed() -> bool:
        return "fleetowl_alertmanager_notification_failures_total{" in await process.metrics()

    await wait_for(failed, 20, "a failed attempt")
    await process.kill()
    webhook.status = 200
    await process.start()
    await process.ready()

    async def told() -> bool:
        return any(state[0] == "Hot" for state in webhook.states())

    await wait_for(told, 30, "the notification after the kill\n" + process.tail())
