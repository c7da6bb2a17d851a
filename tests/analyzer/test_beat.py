"""When the analyzer ticks: at the multiples, at once for an event, not endlessly for many; virtual time."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from analyzer.clock import Clock
from analyzer.service import Analyzer
from model.alert import Alert
from model.labels import Labels
from tests.analyzer.conftest import START, settings_of

TICK = 1000
TOLERANCE = 0.0101


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the time that a wait would take is over."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            self.waited += timeout or 0.0
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.waited


class Rig:
    """An analyzer of which only the beat runs; `ticks` are the seconds at which it ticked."""

    def __init__(self, folder: Path) -> None:
        settings = settings_of(folder)
        self.analyzer = Analyzer(settings, lambda: settings)
        self.loop = _Loop()
        self.ticks: list[float] = []
        self.cost = 0.0
        self.analyzer.clock = Clock(lambda: START / 1000 + self.loop.time())
        self.analyzer._tick = self._tick  # type: ignore[method-assign]

    def _tick(self) -> None:
        self.ticks.append(self.loop.time())
        self.loop.selector.waited += self.cost

    def run(self, seconds: float, wakes: Sequence[float]) -> None:
        async def through() -> None:
            for at in wakes:
                self.loop.call_at(at, self.analyzer.wake)
            beat = asyncio.create_task(self.analyzer._beat(TICK))
            await asyncio.sleep(seconds)
            beat.cancel()
            await asyncio.wait({beat}, timeout=1.0)

        self.loop.run_until_complete(through())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    assert START % TICK == 0
    rig = Rig(tmp_path / "state")
    yield rig
    rig.loop.run_until_complete(rig.analyzer.stop())
    rig.loop.close()


def test_alone_it_ticks_at_the_multiples(rig: Rig) -> None:
    rig.run(4.5, [])
    assert rig.ticks == pytest.approx([0, 1, 2, 3, 4], abs=TOLERANCE)


def test_an_event_is_seen_at_once(rig: Rig) -> None:
    rig.run(2.5, [0.4, 1.99])
    assert rig.ticks == pytest.approx(
        [
            0,
            0.42,
            1,
            2,
        ],
        abs=TOLERANCE,
    )


def test_events_without_end_do_not_set_the_rate(rig: Rig) -> None:
    wakes = [number / 100 for number in range(1, 1000)]
    rig.run(9.99, wakes)
    assert len(rig.ticks) <= 10 + 10 * 4
    for multiple in range(10):
        assert any(multiple <= at <= multiple + TOLERANCE for at in rig.ticks), "the multiples are kept"
    for wake in wakes:
        delay = next((at - wake for at in rig.ticks if at >= wake), 0.0)
        assert delay <= 0.25 + TOLERANCE, "each is seen soon"


def test_a_stop_in_the_moment_of_an_event_is_a_stop(rig: Rig) -> None:
    async def through() -> set[asyncio.Task[None]]:
        beat = asyncio.create_task(rig.analyzer._beat(TICK))
        await asyncio.sleep(0.5)
        rig.analyzer.wake()
        await asyncio.sleep(0)  # what waits for it has it, but has not gone on
        beat.cancel()
        _, going_on = await asyncio.wait({beat}, timeout=5.0)
        beat.cancel()
        return going_on

    assert not rig.loop.run_until_complete(through())


def test_ticks_that_take_long_leave_room_for_other_work(rig: Rig) -> None:
    rig.cost = 0.4
    rig.run(19.99, [number / 100 for number in range(1, 2000)])
    gaps = [later - earlier - rig.cost for earlier, later in itertools.pairwise(rig.ticks)]
    assert sum(gaps) / len(gaps) > 0.15


def test_while_alerts_wait_ticks_follow_one_another(rig: Rig) -> None:
    rig.cost = 0.1
    backlog = rig.analyzer.pipeline.backlog
    backlog.add([Alert(Labels({"alertname": f"A{number}"})) for number in range(3)], 1, START)
    rig.run(1.99, [0.01])
    assert len(rig.ticks) > 12, "nobody sends: the senders' pause is the ticks'"
    backlog.take(3)
    rig.ticks.clear()
    rig.run(3.9, [])
    assert len(rig.ticks) <= 6, "nothing waits any more"
