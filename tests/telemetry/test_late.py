"""Late samples: however many came in whatever order before anybody reads, the order of time is right."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import Labels
from telemetry.window import Window

RETENTION = 100_000
START = 1_700_000_000_000
ARRIVALS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(-60, 5)), max_size=8), max_size=12)


@given(ARRIVALS)
@settings(max_examples=150, deadline=None)
def test_groups_are_sorted_from_their_first_late_time_on(bursts: list[list[tuple[int, int]]]) -> None:
    """Four targets of two series; each burst is sent without a read in between, offsets in seconds."""
    window = Window(retention=RETENTION)
    targets = [window.target(f"t{number}", 1_000) for number in range(4)]
    ids = [
        np.array([window.series(target, Labels({"__name__": "m", "t": target.key, "s": s})) for s in "ab"])
        for target in targets
    ]
    sent: list[dict[int, float]] = [{} for _ in targets]
    now, value = START, 0.0
    for burst in bursts:
        now += 6_000
        window.advance(now)
        for number, offset in burst:
            value += 1.0
            at = now + offset * 1_000
            window.append(targets[number], at, ids[number], np.array([value, -value]))
            sent[number].setdefault(at, value)
        for selection in window.select([]):
            times, values, present = selection.range(now - 70_000, now + 5_000)
            for place, labels in enumerate(selection.labels):
                here, sign = present[:, place], 1.0 if labels["s"] == "a" else -1.0
                found = dict(
                    zip(times[here, place].tolist(), (sign * values[here, place]).tolist(), strict=True)
                )
                known = sent[int(labels["t"][1:])]
                assert found == {at: known[at] for at in sorted(known) if at > now - 70_000}
                assert list(found) == sorted(found)


def test_only_what_is_younger_than_the_first_late_sample_is_moved() -> None:
    """A backfill after an outage costs what it brings, not the history before it."""
    window = Window(retention=900_000)
    target = window.target("t", 3_000)
    ids = np.array([window.series(target, Labels({"__name__": "m"}))])
    for step in range(100):
        window.append(target, START + step * 3_000, ids, np.array([float(step)]))
    outage = START + 300_000
    window.append(target, outage + 600_000, ids, np.array([0.0]))
    for step in range(20):
        window.append(target, outage + step * 3_000, ids, np.array([1.0]))
    cadence = window.storage.cadences[target.cadence]
    [(_, source, destination)] = list(cadence.sort(np.array([target.column])))
    assert source.shape == destination.shape == (21, 1)
