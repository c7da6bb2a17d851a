"""kill -9 at fifty moments of a storm that comes by API: nothing accepted is lost, nothing is told twice.

Each group comes with one POST and ends with one POST, so it must be told once that it fires and once that it
has ended, each time whole. A POST that was answered 200 is never sent again; one without an answer is, as a
Prometheus does. The webhook outlives everything, is slow at times, and at times says no to what it heard.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from bench.alerts.storm import rfc3339
from tests.acceptance.processes import free_port, serve

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parents[2]
KILLS = 50
UNBORN = 8
"""So many of them are killed while they start."""
GROUPS = 120
MEMBERS = 5


class Receiver:
    """Hears of groups; `heard[group, status]` are the dedup keys, `wrong` what was not whole."""

    def __init__(self, chance: random.Random) -> None:
        self.heard: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.times: dict[tuple[str, str], int] = defaultdict(int)
        self.wrong: list[str] = []
        self.fires: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.ended: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._chance = chance

    async def take(self, request: web.Request) -> web.Response:
        body, key = await request.json(), request.headers["Idempotency-Key"]
        group, status = body["groupLabels"]["grp"], body["status"]
        states = [alert["status"] for alert in body["alerts"]]
        if states != [status] * MEMBERS:
            self.wrong.append(f"{group} {status}: {states}")
        self.heard[group, status].add(key)
        self.times[group, status] += 1
        (self.fires if status == "firing" else self.ended)[group].set()
        await asyncio.sleep(self._chance.choice((0, 0, 0.01, 0.05)))
        return web.Response(status=503 if self._chance.random() < 0.1 else 200)


class Senders:
    """Post until answered; count what had to be posted again."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.again = 0
        self._url, self._session = url, session

    async def post(self, alerts: list[dict[str, Any]]) -> None:
        while True:
            try:
                async with self._session.post(f"{self._url}/api/v2/alerts", json=alerts) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            self.again += 1
            await asyncio.sleep(0.03)


def members(group: str, begins: float, ends: float) -> list[dict[str, Any]]:
    return [
        {
            "labels": {"alertname": "A", "grp": group, "member": str(number)},
            "startsAt": rfc3339(begins),
            "endsAt": rfc3339(ends),
        }
        for number in range(MEMBERS)
    ]


def configuration(folder: Path, port: int, hook: str) -> dict[str, Any]:
    route = {"receiver": "hook", "group_by": ["grp"], "group_wait": "100ms", "group_interval": "300ms"}
    fleetowl = {
        "topology": False,
        "flap": False,
        "resolve_wait": "100ms",
        "retry": {"min_backoff": "50ms", "max_backoff": "200ms"},
    }
    return {
        "analyzer": {
            "listen": f"127.0.0.1:{port}",
            "state_directory": str(folder / "state"),
            "tick": "100ms",
        },
        "rules": {"shipped": False},
        "runbooks": {"shipped": False},
        "alertmanager": {
            "route": route,
            "receivers": [{"name": "hook", "webhook_configs": [{"url": hook}]}],
            "fleetowl": fleetowl,
        },
    }


class Lives:
    """The analyzer, again and again."""

    def __init__(self, configuration: Path, log: Path) -> None:
        self._argv = [sys.executable, str(ROOT / "tests/acceptance/nursery.py"), str(configuration)]
        self._log = log

    async def __aenter__(self) -> Lives:
        with self._log.open("wb") as log:
            self._mother = await asyncio.create_subprocess_exec(
                *self._argv,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert await self._line() == "ready", self._log.read_text()[-2000:]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._mother.kill()
        await self._mother.communicate()

    async def _line(self) -> str:
        assert self._mother.stdout is not None
        return (await self._mother.stdout.readline()).decode().strip()

    async def begin(self, *, up: bool) -> int:
        """Start one; its process id, once it listens if `up`."""
        assert self._mother.stdin is not None
        self._mother.stdin.write(b"\n")
        pid = int(await self._line())
        if up:
            assert await self._line() == "up", self._log.read_text()[-2000:]
        return pid

    async def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        while await self._line() != "gone":
            pass


async def test_kill_9_in_a_storm_neither_loses_nor_repeats(tmp_path: Path) -> None:
    chance = random.Random(5)
    receiver = Receiver(random.Random(6))
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner, hook = await serve(app)
    port = free_port()
    written = tmp_path / "fleetowl.yml"
    written.write_text(yaml.safe_dump(configuration(tmp_path, port, hook)))
    async with Lives(written, tmp_path / "log") as lives, aiohttp.ClientSession() as session:
        senders = Senders(f"http://127.0.0.1:{port}", session)
        storm = asyncio.create_task(send_all(senders, receiver, chance))
        unborn = set(chance.sample(range(KILLS), UNBORN))
        for number in range(KILLS):
            pid = await lives.begin(up=number not in unborn)
            await asyncio.sleep(chance.uniform(0, 0.3) if number in unborn else chance.uniform(0.05, 0.8))
            await lives.kill(pid)
        pid = await lives.begin(up=True)
        await asyncio.wait_for(storm, 60)
        await asyncio.sleep(1)  # time to say something twice
        await lives.kill(pid)
    await runner.cleanup()
    expected = {(f"g{number}", status) for number in range(GROUPS) for status in ("firing", "resolved")}
    assert not receiver.wrong, "a group was told in part"
    assert set(receiver.heard) == expected, "something accepted was never told"
    twice = {state: keys for state, keys in receiver.heard.items() if len(keys) > 1}
    assert not twice, "something was told under two keys"
    print(f"{sum(receiver.times.values()) - len(expected)} repetitions, {senders.again} posts again")
    assert senders.again > KILLS / 2, "the kills hit nobody"


async def send_all(senders: Senders, receiver: Receiver, chance: random.Random) -> None:
    """Groups over the whole time of the kills, until each has been told of twice."""

    async def one(number: int) -> None:
        group = f"g{number}"
        await asyncio.sleep(number * 0.35)
        begins = time.time()
        await senders.post(members(group, begins, begins + 3600))
        await receiver.fires[group].wait()
        await asyncio.sleep(chance.uniform(0, 0.5))
        await senders.post(members(group, begins, time.time()))
        await receiver.ended[group].wait()

    await asyncio.gather(*(one(number) for number in range(GROUPS)))
