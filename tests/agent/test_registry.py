"""The round: each collector is on its own, and says how it fared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import pytest

from agent.host import Host, NoData, labelled
from agent.registry import Collector, Round, collectors_for, discover
from model.metric import Sample

Flat = Callable[[Iterable[Sample]], dict[str, float]]


class Scripted(Collector):
    """Does what the test says."""

    def __init__(self, host: Host, name: str, act: Callable[[], Iterable[Sample]]) -> None:
        super().__init__(host)
        self.name = name  # type: ignore[misc]
        self.act = act

    def collect(self) -> Iterable[Sample]:
        return self.act()


def _good() -> Iterable[Sample]:
    yield Sample("good", labelled(), 1.0)


def _broken() -> Iterable[Sample]:
    yield Sample("half", labelled(), 1.0)
    raise ValueError("bad line")


def _nothing() -> Iterable[Sample]:
    raise NoData("no such device")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def test_a_failing_collector_harms_no_other(host: Host, flat: Flat) -> None:
    tour = Round(host, [Scripted(host, "bad", _broken), Scripted(host, "fine", _good)])
    samples = flat(tour.collect())
    assert samples["good"] == 1.0
    assert "half" not in samples, "a collector that fails half way exports nothing"
    assert samples["fleetowl_collector_success{collector=bad}"] == 0.0
    assert samples["fleetowl_collector_success{collector=fine}"] == 1.0
    assert samples["fleetowl_collector_status{collector=bad,reason=ValueError: bad line,state=failed}"] == 1.0


def test_nothing_to_read_is_healthy_and_says_why(host: Host, flat: Flat) -> None:
    samples = flat(Round(host, [Scripted(host, "idle", _nothing)]).collect())
    assert samples["fleetowl_collector_success{collector=idle}"] == 1.0
    assert samples["fleetowl_collector_status{collector=idle,reason=no such device,state=no data}"] == 1.0


def test_durations(host: Host, flat: Flat) -> None:
    samples = flat(Round(host, [Scripted(host, "one", _good)], Clock()).collect())
    assert samples["fleetowl_collector_duration_seconds{collector=one}"] == 0.25, (
        "one reading of the clock apart"
    )


def test_a_state_is_logged_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    collector = Scripted(host, "bad", _broken)
    tour = Round(host, [collector])
    tour.collect()
    tour.collect()
    collector.act = _good
    tour.collect()
    assert [record.message for record in caplog.records] == [
        "the collector bad is failed: ValueError: bad line",
        "the collector bad works again",
    ]


def test_collectors_register_themselves_and_can_be_switched_off(host: Host) -> None:
    names = set(discover())
    assert {"cpu", "meminfo", "pressure", "filesystem", "netdev", "diskstats"} <= names
    assert {each.name for each in collectors_for(host, ("cpu", "stat"))} == names - {"cpu", "stat"}
