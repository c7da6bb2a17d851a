"""Single labelled series: NAB's with its windows, Microsoft's cloud monitoring with a label a row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.detection.labelled.source import BadData, columns, floats_of, folder, found, times_of
from model.moment import DAY
from telemetry.bits import Flags, Floats, Ints


@dataclass(frozen=True)
class Series:
    """`times` (ms) and `values` `[n]` in the file's order; `events` are [first, last] anomalous rows."""

    group: str
    name: str
    times: Ints
    values: Floats
    events: tuple[tuple[int, int], ...]

    @property
    def interval(self) -> int:
        """The usual step between rows (ms)."""
        steps = np.diff(self.times)
        return int(np.median(steps[steps > 0])) if (steps > 0).any() else 1

    @property
    def days(self) -> float:
        """Days that the rows stand for; what is missing between them does not count."""
        return len(self.times) * self.interval / DAY

    @property
    def labels(self) -> Flags:
        """Which rows belong to an event, `[n]`."""
        return marked(self.events, len(self.times))


def marked(events: tuple[tuple[int, int], ...], rows: int) -> Flags:
    """The events as one flag a row.

    >>> marked(((1, 2),), 4).tolist()
    [False, True, True, False]
    """
    flags = np.zeros(rows, bool)
    for first, last in events:
        flags[first : last + 1] = True
    return flags


def stretches(flags: Flags) -> tuple[tuple[int, int], ...]:
    """The [first, last] rows of each run of true flags.

    >>> stretches(np.array([True, False, True, True]))
    ((0, 0), (2, 3))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return tuple((int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2], strict=True))


def nab(data: Path) -> list[Series]:
    """Every series of `data`/nab with its official windows.

    Raises:
        BadData: no such folder, a file that cannot be read, or a series that the windows do not name.
    """
    root = folder(data, "nab")
    windows = _windows(root / "combined_windows.json")
    series = []
    for path in found(root / "data", "*/*.csv*", "nab"):
        key = f"{path.parent.name}/{path.name.removesuffix('.gz')}"
        if key not in windows:
            raise BadData(root / "combined_windows.json", f"no entry {key!r}", "one for each file of data/")
        cells = columns(path, ("timestamp", "value"))
        times = times_of(path, cells["timestamp"])
        events = _rows(root / "combined_windows.json", times, windows[key])
        name = path.name.split(".")[0]
        series.append(Series(path.parent.name, name, times, floats_of(path, cells["value"]), events))
    return series


def _windows(path: Path) -> dict[str, list[tuple[str, str]]]:
    expected = 'an object as {"group/name.csv": [["2014-04-10 16:15:00", "2014-04-12 01:45:00"]]}'
    try:
        held = json.loads(path.read_text())
        return {str(key): [(str(first), str(last)) for first, last in held[key]] for key in held}
    except (OSError, ValueError, TypeError) as problem:
        raise BadData(path, str(problem), expected) from None


def _rows(path: Path, times: Ints, windows: list[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    """The windows as rows: the first one at or after its begin to the last one at or before its end.

    The moments are looked for in the order of rows, as NAB does, since a file may go back an hour in autumn.
    """
    events = []
    for window in windows:
        begin, end = times_of(path, list(window))
        inside = np.flatnonzero((times >= begin) & (times <= end))
        if len(inside):
            events.append((int(inside[0]), int(inside[-1])))
    return tuple(sorted(events))


def mscloud(data: Path) -> list[Series]:
    """Every series of `data`/mscloud.

    Raises:
        BadData: no such folder, or a file that cannot be read.
    """
    series = []
    for path in found(folder(data, "mscloud"), "*/*.csv*", "mscloud"):
        cells = columns(path, ("timestamp", "value", "label"))
        labels = floats_of(path, cells["label"]) > 0
        times, values = times_of(path, cells["timestamp"]), floats_of(path, cells["value"])
        series.append(Series(path.parent.name, path.name.split(".")[0], times, values, stretches(labels)))
    return series
