"""The window against a dict of lists: whatever is sent, in whatever order, both answer alike."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import telemetry.registry
from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import MISSING_BITS, STALE_BITS
from telemetry.snapshot import freeze, read, thaw, write
from telemetry.window import Target, Window

RETENTION = 10_000
AHEAD = 600_000
START = 1_700_000_000_000
NAN_BITS = 0x7FF8000000000001
VALUES = st.sampled_from(
    [struct.pack("<d", v) for v in (0.0, -0.0, 1.0, 2.5, float("inf"), 1e-310, 1e17)]
    + [struct.pack("<Q", bits) for bits in (NAN_BITS, 0x7FF8000000000000, 0xFFF8000000000123)]
).map(lambda raw: float(struct.unpack("<d", raw)[0]))


def bits(value: float) -> int:
    found: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return found


class Naive:
    """Each series as {time: bits}, and Prometheus' meaning of instant and range."""

    def __init__(self) -> None:
        self.series: dict[Labels, dict[int, int]] = {}
        self.now = START

    def put(self, labels: Labels, time: int, value: float) -> None:
        if self.now - RETENTION < time <= self.now + AHEAD:
            self.series[labels].setdefault(time, bits(value))

    def newest(self, labels: Labels) -> int | None:
        samples = self.series[labels]
        return samples[max(samples)] if samples else None

    def range(self, labels: Labels, start: int, end: int) -> list[tuple[int, int]]:
        samples = sorted(self.series[labels].items())
        return [(time, bits) for time, bits in samples if start < time <= end and bits != STALE_BITS]

    def instant(self, labels: Labels, at: int, lookback: int) -> tuple[int, int] | None:
        inside = [(time, bits) for time, bits in self.series[labels].items() if at - lookback < time <= at]
        newest = max(inside, default=None)
        return None if newest is None or newest[1] == STALE_BITS else newest


def instants(window: Window, at: int, lookback: int) -> Iterator[tuple[Labels, tuple[int, int] | None]]:
    for selection in window.select([]):
        values, times, present = selection.instant(at, lookback)
        assert values.shape == times.shape == present.shape == (len(selection.ids),)
        for place, labels in enumerate(selection.labels):
            found = (int(times[place]), bits(float(values[place])))
            yield labels, found if present[place] else None


def ranges(window: Window, start: int, end: int) -> Iterator[tuple[Labels, list[tuple[int, int]]]]:
    for selection in window.select([]):
        times, values, present = selection.range(start, end)
        for place, labels in enumerate(selection.labels):
            here = present[:, place]
            raw = values[here, place].view(np.uint64)
            yield labels, list(zip(times[here, place].tolist(), raw.tolist(), strict=True))


class WindowAgainstNaive(RuleBasedStateMachine):
    """Two scraped targets, one remote writer, and everything that goes wrong on the way."""

    @initialize()
    def start(self) -> None:
        self.naive = Naive()
        self.window = Window(retention=RETENTION)
        self.window.advance(START)
        self.known: dict[str, list[Labels]] = {"slow": [], "fast": [], "remote": []}
        self.made = 0
        for key in self.known:
            for _ in range(3):
                self.add_series(key, 0)

    def target(self, key: str) -> Target:
        return self.window.target(key, {"slow": 5_000, "fast": 1_000, "remote": 0}[key])

    def ids(self, key: str, chosen: list[Labels]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        target = self.target(key)
        return np.array([self.window.series(target, labels) for labels in chosen], np.int64)

    def choose(self, key: str, mask: int) -> list[Labels]:
        return [labels for place, labels in enumerate(self.known[key]) if mask >> (place % 7) & 1]

    @rule(key=st.sampled_from(["slow", "fast", "remote"]), name=st.integers(0, 2))
    def add_series(self, key: str, name: int) -> None:
        self.made += 1
        labels = Labels({"__name__": f"m{name}", "n": str(self.made)})
        self.window.series(self.target(key), labels, "gauge")
        self.known[key].append(labels)
        self.naive.series[labels] = {}

    @rule(step=st.sampled_from([0, 1, 300, 1_000, 1_000, 5_000, 20_000]))
    def advance(self, step: int) -> None:
        self.naive.now += step
        self.window.advance(self.naive.now)

    @rule(
        key=st.sampled_from(["slow", "fast", "remote"]),
        offset=st.sampled_from([0, 0, 0, -1, 250, -3_000, -9_999, -10_000, AHEAD, AHEAD + 1]),
        mask=st.integers(0, 127),
        value=VALUES,
    )
    def scrape(self, key: str, offset: int, mask: int, value: float) -> None:
        chosen = self.choose(key, mask)
        time = self.naive.now + offset
        values = np.full(len(chosen), value)
        self.window.append(self.target(key), time, self.ids(key, chosen), values)
        for labels in chosen:
            self.naive.put(labels, time, value)

    @rule(key=st.sampled_from(["slow", "fast", "remote"]), count=st.integers(2, 30), value=VALUES)
    def hurry(self, key: str, count: int, value: float) -> None:
        for _ in range(count):
            self.advance(97)
            self.scrape(key, 0, 0b1011011, value)

    @rule(
        key=st.sampled_from(["slow", "fast", "remote"]),
        samples=st.lists(st.tuples(st.integers(0, 9), st.integers(-10_001, 20), VALUES), max_size=12),
    )
    def send_each(self, key: str, samples: list[tuple[int, int, float]]) -> None:
        known = self.known[key]
        samples = [sample for sample in samples if sample[0] < len(known)]
        times = np.array([self.naive.now + offset for _, offset, _ in samples], np.int64)
        values = np.array([value for _, _, value in samples])
        ids = self.ids(key, [known[place] for place, _, _ in samples])
        self.window.append_each(self.target(key), times, ids, values)
        for place, offset, value in samples:
            self.naive.put(known[place], self.naive.now + offset, value)

    @rule(key=st.sampled_from(["slow", "fast", "remote"]), offset=st.sampled_from([0, 0, -50]))
    def end(self, key: str, offset: int) -> None:
        time = self.naive.now + offset
        self.window.mark_stale(self.target(key), time)
        for labels in self.known[key]:
            if self.naive.newest(labels) not in (None, STALE_BITS):
                self.naive.put(labels, time, struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0])

    @rule(
        sender=st.sampled_from(["slow", "fast", "remote"]), owner=st.sampled_from(["slow", "fast", "remote"])
    )
    def send_anothers_series(self, sender: str, owner: str) -> None:
        if self.known[owner] and sender != owner:
            labels = self.known[owner].pop(0)
            self.known[sender].append(labels)
            time = self.naive.now
            self.window.append(self.target(sender), time, self.ids(sender, [labels]), np.array([7.0]))
            self.naive.put(labels, time, 7.0)

    @rule(key=st.sampled_from(["slow", "fast"]), interval=st.sampled_from([0, 500, 1_000, 5_000]))
    def change_interval(self, key: str, interval: int) -> None:
        self.window.target(key, interval)

    @rule(key=st.sampled_from(["slow", "fast", "remote"]))
    def drop(self, key: str) -> None:
        self.window.drop_target(key)
        for labels in self.known[key]:
            del self.naive.series[labels]
        self.known[key] = []

    @rule(slack=st.sampled_from([0.0, 0.5]))
    def compact(self, slack: float) -> None:
        before = {labels: self.window.find(labels) for labels in self.naive.series}
        remap = self.window.compact(self.naive.now, slack)
        assert all(len(target.ids) for target in self.window.registry.target_of.values())
        horizon = self.naive.now - RETENTION
        for labels in [labels for labels, s in self.naive.series.items() if max(s, default=0) <= horizon]:
            assert self.window.find(labels) is None
            del self.naive.series[labels]
            for known in self.known.values():
                if labels in known:
                    known.remove(labels)
        if remap is not None:
            for labels in self.naive.series:
                assert remap.new_ids[before[labels]] == self.window.find(labels)
            assert self.window.size == self.window.series_count == remap.size

    @rule()
    def restart(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "window")
            write(freeze(self.window, self.naive.now), path)
            restored = thaw(read(path), RETENTION)
        assert restored.bytes == self.window.bytes
        self.window = restored
        self.window.advance(self.naive.now)

    @invariant()
    def answers_are_equal(self) -> None:
        if not hasattr(self, "naive"):
            return
        now, oldest = self.naive.now, self.naive.now - RETENTION
        for start, end in (
            (oldest, now),
            (oldest, now + AHEAD),
            (oldest + 3_000, now - 400),
            (now - 97, now),
        ):
            found = dict(ranges(self.window, start, end))
            assert found == {labels: self.naive.range(labels, start, end) for labels in self.naive.series}
        for at in (now, now - 1, now - 4_000, now + AHEAD):
            lookback = min(4_999, at - oldest)
            seen = dict(instants(self.window, at, lookback))
            assert seen == {labels: self.naive.instant(labels, at, lookback) for labels in self.naive.series}
        assert self.window.series_count == len(self.naive.series)

    @invariant()
    def no_ring_and_no_cell_is_lost(self) -> None:
        if not hasattr(self, "naive"):
            return
        storage, targets = self.window.storage, list(self.window.registry.target_of.values())
        for index, cadence in enumerate(storage.cadences):
            apart = sum(storage.series.cadence[sid] == index for t in targets for sid in t.apart.ids)
            together = sum(t.cadence == index for t in targets)
            assert len(cadence.count) - len(cadence.free) == apart + together
            assert len(set(cadence.free)) == len(cadence.free)
        in_slabs = sum(slab.slots * slab.capacity for slab in storage.slabs)
        free = sum(size for _, size in storage.arena.free)
        assert in_slabs + free == len(storage.arena.values)
        times = sum(cadence.times.nbytes for cadence in storage.cadences)
        assert self.window.bytes == storage.arena.values.nbytes + times

    @invariant()
    def heads_are_the_newest(self) -> None:
        for labels, samples in getattr(self, "naive", Naive()).series.items():
            if samples and max(samples) > self.naive.now - RETENTION:
                sid = self.window.find(labels)
                assert sid is not None
                times, values = self.window.last(np.array([sid]))
                assert (times[0], bits(float(values[0]))) == (max(samples), samples[max(samples)])


# tests/acceptance/test_window_model.py has five times as many.
WindowAgainstNaive.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def short_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rings so short that each run makes them grow."""
    monkeypatch.setattr(telemetry.registry, "OWN_SLOTS", 2)


TestWindowAgainstNaive = WindowAgainstNaive.TestCase


def test_missing_bits_from_outside_become_a_plain_nan() -> None:
    window = Window(retention=RETENTION)
    target = window.target("t", 1_000)
    ids = np.array([window.series(target, Labels({"__name__": "m"}))])
    window.append(target, START, ids, np.array([MISSING_BITS], np.int64).view(np.float64))
    (selection,) = window.select([Matcher("__name__", Op.EQUAL, "m")])
    values, _, present = selection.instant(START, 1_000)
    assert present.all()
    assert np.isnan(values).all()
