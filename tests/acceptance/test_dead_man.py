"""An analyzer that is stopped, or killed with -9, is told of by the process that watches it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.acceptance.processes import Process, Webhook, wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[..., Awaitable[Process]]


def texts(webhook: Webhook) -> list[str]:
    return [f"{body['status']}: {body['commonAnnotations']['summary']}" for body in webhook.bodies]


async def test_a_stopped_and_a_killed_analyzer_are_told_of(start: Start, webhook: Webhook) -> None:
    process = await start(
        "analyzer",
        {
            "analyzer": {"tick": "200ms", "dead_man": {"silence": "1s", "webhook_url": webhook.url}},
            "rules": {"shipped": False},
        },
    )
    assert process.child is not None
    await asyncio.sleep(1.2)
    assert texts(webhook) == []

    async def told(words: str) -> bool:
        return any(words in text for text in texts(webhook))

    process.child.send_signal(signal.SIGSTOP)
    await wait_for(lambda: told("firing: the analyzer on "), 5, "silence\n" + process.tail())
    assert "has finished no tick for 1 s" in texts(webhook)[0]
    process.child.send_signal(signal.SIGCONT)
    await wait_for(lambda: told("ticks again after"), 5, "its end\n" + process.tail())
    await process.kill()
    await wait_for(lambda: told("has ended without a goodbye"), 5, "the end\n" + process.tail())
    assert len(webhook.bodies) == 3
