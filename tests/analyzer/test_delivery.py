"""What is under way to the receivers, and when their answers reach the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alertmanager.notification import Delivery as Address
from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.sender import Sender
from analyzer.delivery import Delivery
from analyzer.service import Analyzer
from model.alert import Alert
from model.labels import Labels
from tests.analyzer.conftest import START, settings_of

HELLO = Notification(
    Address("{}:{}", "team", "log[0]"), Labels(), (), frozenset(), frozenset(), START, 1, "key"
)
TOOK = Outcome(ok=True, retry=False, answer="200")


class Slow(Sender):
    """A receiver that answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[Notification] = []
        self.let = asyncio.Event()
        self.closed = asyncio.Event()

    async def send(self, notification: Notification) -> Outcome:
        self.asked.append(notification)
        await self.let.wait()
        assert not self.closed.is_set(), "closed while something was under way"
        return TOOK

    async def close(self) -> None:
        self.closed.set()


async def test_what_is_under_way_is_not_sent_a_second_time_but_may_be_after_the_answer() -> None:
    sender, answers = Slow(), list[Outcome]()
    delivery = Delivery(sender, lambda _notification, outcome: answers.append(outcome))
    delivery.submit([HELLO])
    delivery.submit([HELLO])
    await asyncio.sleep(0)
    assert sender.asked == [HELLO]
    sender.let.set()
    await delivery.drain(1)
    delivery.submit([HELLO])
    await delivery.drain(1)
    assert len(sender.asked) == 2


async def test_other_receivers_take_over_once_the_answers_under_way_are_in() -> None:
    old, new, answers = Slow(), Slow(), list[Outcome]()
    delivery = Delivery(old, lambda _notification, outcome: answers.append(outcome))
    delivery.submit([HELLO])
    await asyncio.sleep(0)
    replacing = asyncio.create_task(delivery.replace(new))
    await asyncio.sleep(0)
    assert not old.closed.is_set()
    old.let.set()
    await replacing
    assert old.closed.is_set()
    assert answers == [TOOK]
    assert not new.closed.is_set()


async def test_an_answer_is_on_disk_without_a_tick(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "state", rules={"shipped": False})
    analyzer = Analyzer(settings, lambda: settings)  # not started: nothing ticks
    alert = Alert(Labels({"alertname": "Down", "tier": "P0"}), starts_at=START)
    pipeline = analyzer.pipeline
    [notification] = pipeline.alerting.notify(START, pipeline.alerting.correlate(START, [alert]))
    pipeline.keep()
    analyzer._answered(notification, TOOK)
    before = pipeline.dispatcher.dirty
    await asyncio.sleep(0.1)
    assert (before, pipeline.dispatcher.dirty) == (True, False)
    await analyzer.stop()
