"""A receiver that hangs, trickles or blocks takes nothing from another: no connection, thread or turn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from alertmanager.notification import Delivery, Notification, Outcome
from alertmanager.receivers import email, lane
from alertmanager.receivers.lane import Lane
from alertmanager.receivers.sender import Sender
from alertmanager.receivers.threads import Busy, Threads
from model.alert import Tier
from tests.alertmanager.night import settings_of
from tests.alertmanager.receivers.catcher import Catcher
from tests.alertmanager.receivers.mail_server import MailServer
from tests.alertmanager.receivers.told import told

# apprise loads a module of the standard library that Python 3.13 no longer has
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr.*:DeprecationWarning")


def to(receiver: str, integration: str, key: str = "k") -> Notification:
    return replace(told(), delivery=Delivery(key, receiver, integration), dedup_key=key)


class Slow:
    """An integration that answers when it is let."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.go = asyncio.Event()

    async def send(self, notification: Notification) -> Outcome:
        self.order.append(notification.dedup_key)
        await self.go.wait()
        return Outcome(True, False, "ok")


async def test_a_lane_has_a_width_and_the_most_urgent_goes_first() -> None:
    slow = Slow()
    way = Lane(slow, width=2)
    tiers = [Tier.P1, Tier.P1, Tier.P3, Tier.P0, Tier.P2]
    told_ = [replace(to("a", "x", str(place)), urgency=tier) for place, tier in enumerate(tiers)]
    tasks = [asyncio.create_task(way.send(each)) for each in told_]
    await asyncio.sleep(0.01)
    assert slow.order == ["0", "1"]
    tasks[3].cancel()
    tasks[0].cancel()  # its turn goes to the most urgent that still waits
    await asyncio.sleep(0.01)
    assert slow.order == ["0", "1", "4"]
    slow.go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, Outcome) for each in done] == [False, True, True, False, True]
    assert slow.order == ["0", "1", "4", "2"]
    assert (await way.send(told_[0])).ok  # all turns were given back


async def test_who_waits_too_long_goes_back_to_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "PATIENCE", 20)
    slow = Slow()
    way = Lane(slow, width=1)
    first = asyncio.create_task(way.send(to("a", "x")))
    await asyncio.sleep(0)
    outcome = await way.send(to("a", "x", "late"))
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "earlier notifications" in outcome.answer
    slow.go.set()
    assert (await first).ok


async def test_a_webhook_that_hangs_takes_no_connection_of_another(catcher: Catcher) -> None:
    forever = asyncio.Event()

    async def hang() -> web.StreamResponse:
        if catcher.requests[-1].path == "/hang":
            await forever.wait()
        return web.Response()

    catcher.answer = hang
    hooks = [
        {"name": name, "webhook_configs": [{"url": f"{catcher.url}{name}", "timeout": "1s"}]}
        for name in ("hang", "pager", "team")
    ]
    sender = Sender(settings_of(receivers=hooks))
    stuck = [asyncio.create_task(sender.send(to("hang", "webhook[0]", str(n)))) for n in range(150)]
    await asyncio.sleep(0.05)
    assert (await sender.send(to("pager", "webhook[0]"))).ok
    assert len(catcher.requests) == lane.WIDTH + 1
    forever.set()
    assert all(outcome.ok for outcome in await asyncio.gather(*stuck))  # no time-out ran while they waited
    await sender.close()


async def test_a_mail_server_that_trickles_holds_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TIMEOUT", 100)
    server = MailServer()
    server.trickles = True
    config = {"to": "a@b.c", "from": "d@e.f", "smarthost": await server.start(), "require_tls": False}
    sender = Sender(settings_of(receivers=[{"name": "team", "email_configs": [config]}]))
    outcomes = await asyncio.gather(*(sender.send(to("team", "email[0]", str(n))) for n in range(10)))
    assert {(outcome.ok, outcome.retry) for outcome in outcomes} == {(False, True)}
    assert sum("did not answer in time" in outcome.answer for outcome in outcomes) >= lane.WIDTH
    for _ in range(100):
        if not receivers():
            break
        await asyncio.sleep(0.01)
    assert not receivers()
    await server.stop()


def receivers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "receiver"]


async def test_a_call_that_is_still_under_way_is_not_made_again() -> None:
    threads, go = Threads(most=2), threading.Event()
    for key in ("a", "b"):
        with pytest.raises(TimeoutError):
            await threads.run(key, 0.01, go.wait)
    with pytest.raises(Busy, match="the attempt before"):
        await threads.run("a", 1, go.wait)
    with pytest.raises(Busy, match="2 earlier attempts"):
        await threads.run("c", 1, go.wait)
    host = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)  # the loop's own threads are free
    assert host
    go.set()
    for thread in receivers():
        thread.join()
    await asyncio.sleep(0)
    assert await threads.run("a", 1, lambda: 7) == 7


def apprise_to(*urls: str) -> dict[str, Any]:
    return {"apprise_configs": [{"urls": list(urls)}]}


async def test_apprise_says_no_secret_in_its_log(catcher: Catcher, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse() -> web.StreamResponse:
        return web.Response(status=500)

    catcher.answer = refuse
    at = catcher.url.removeprefix("http://")
    with caplog.at_level(logging.DEBUG), contextlib.closing(caplog.handler):
        await catcher.told(
            apprise_to(f"json://owl:t0ps3cret@{at}t0ps3cret", "tgram://t0ps3cret"),
            told(integration="apprise[0]"),
        )
    assert not [record for record in caplog.records if record.name.startswith("apprise")]
