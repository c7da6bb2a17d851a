"""kill -9 at random moments: no notification lost, none twice but under the same dedup key.

A process decides, keeps, sends to a real webhook and records; alerts come and go by the wall clock.
Each alert is its own group, so that it must be told once when it fires and once when it ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

ROOT = Path(__file__).resolve().parents[2]

PROCESS = """
import asyncio, sys, time
from alertmanager.dispatch import Dispatcher
from alertmanager.receivers.sender import Sender
from alertmanager.settings import AlertmanagerSettings
from alertmanager.tables import SCHEMA
from model.alert import Alert
from model.labels import Labels
from model.settings import load_section
from store.database import Database
from store.durable import persist, restore

url, hook, began, count, lives = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

settings = load_section(AlertmanagerSettings, {
    "route": {"receiver": "team", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "200ms"},
    "receivers": [{"name": "team", "webhook_configs": [{"url": hook}]}],
    "fleetowl": {"resolve_wait": "100ms", "retry": {"min_backoff": "50ms", "max_backoff": "200ms"}},
}, "test")

def alerts(now):
    for number in range(count):
        start = began + number * 100
        if start <= now:
            end = start + lives
            yield Alert(Labels({"alertname": f"A{number}"}), {}, start, end if end <= now else None)

async def main():
    database = Database(url)
    database.create(SCHEMA)
    dispatcher, sender = Dispatcher(settings), Sender(settings)
    clock = lambda: int(time.time() * 1000)
    restore(database, [dispatcher], clock())
    tasks = set()
    print("up", flush=True)
    async def tell(notification):
        outcome = await sender.send(notification)
        dispatcher.record(notification, outcome, clock())
        persist(database, [dispatcher])
    while True:
        leaving = dispatcher.step(clock(), list(alerts(clock())))
        persist(database, [dispatcher])
        tasks |= {asyncio.create_task(tell(notification)) for notification in leaving}
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def slowness(script: Path, folder: Path) -> float:
    """How many times half a second a process takes to start here; 1 at least.

    On a machine that is busy with other things a process must not be killed before it has begun, each time.
    """
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            str(script),
            f"sqlite:///{folder / 'probe.db'}",
            "http://127.0.0.1:9/",
            "0",
            "0",
            "0",
        ),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    process.kill()
    await process.communicate()
    return max(1.0, (time.monotonic() - begun) / 0.5)


@pytest.mark.acceptance
async def test_kill_9_neither_loses_nor_repeats_a_notification(tmp_path: Path) -> None:
    heard: dict[str, list[str]] = defaultdict(list)
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    chance = random.Random(11)
    complete = asyncio.Event()
    count, lives, kills = 60, 6_000, 12
    everything = {(f"A{number}", status) for number in range(count) for status in ("firing", "resolved")}

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        key = request.headers["Idempotency-Key"]
        heard[key].append(json.dumps(body, sort_keys=True))
        for alert in body["alerts"]:
            told[alert["labels"]["alertname"], alert["status"]].add(key)
        if set(told) == everything:
            complete.set()
        await asyncio.sleep(chance.uniform(0, 0.05))
        if chance.random() < 0.2:
            return web.Response(status=503)  # it heard it, yet says no: the same key must come again
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    slow = await slowness(script, tmp_path)
    lives = int(lives * slow)
    async with TestServer(app) as server:
        began = int(time.time() * 1000) + 500
        arguments = [f"sqlite:///{tmp_path / 'state.db'}", str(server.make_url("/"))]
        for attempt in range(kills + 1):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(script),
                *arguments,
                str(began),
                str(count),
                str(lives),
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT)},
            )
            if attempt < kills:
                await asyncio.sleep(chance.uniform(0.6, 1.6) * slow)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(complete.wait(), 30)
                await asyncio.sleep(1)  # time to say something twice
            process.send_signal(signal.SIGKILL)
            await process.wait()
    assert set(told) == everything
    assert all(len(keys) == 1 for keys in told.values()), "an alert's state was told under two keys"
    assert all(len(set(copies)) == 1 for copies in heard.values()), "one key stood for two messages"
