"""Machines with many metrics each: a stretch to learn from, one to be judged on, and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.detection.labelled.series import stretches
from bench.detection.labelled.source import BadData, arrays, folder, found
from model.moment import SECOND
from telemetry.bits import Flags, Floats

INTERVALS = {"smd": 60 * SECOND, "asd": 300 * SECOND}
"""The scrape interval of each data set (ms); the files hold no times."""


@dataclass(frozen=True)
class Machine:
    """`train` `[n, d]` and `test` `[m, d]` in one order of metrics, `labels` `[m]`, `interval` in ms."""

    name: str
    train: Floats
    test: Floats
    labels: Flags
    interval: int

    @property
    def events(self) -> tuple[tuple[int, int], ...]:
        """The [first, last] rows of each labelled stretch of `test`."""
        return stretches(self.labels)


def machines(data: Path, name: str) -> list[Machine]:
    """Every machine of `data`/`name`, which is a key of INTERVALS.

    Raises:
        BadData: no such folder, or a file that is not what is expected.
    """
    return [_machine(path, INTERVALS[name]) for path in found(folder(data, name), "*.npz", name)]


def _machine(path: Path, interval: int) -> Machine:
    held = arrays(path, ("train", "test", "label"))
    train, test, label = held["train"], held["test"], held["label"]
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or label.shape != test.shape[:1]:
        shapes = f"train {train.shape}, test {test.shape}, label {label.shape}"
        raise BadData(path, shapes, "train [n, d], test [m, d] and label [m]")
    if not len(train) or not len(test):
        raise BadData(path, f"train has {len(train)} rows, test {len(test)}", "rows in both")
    if not (train != train[0]).any():  # neither a covariance nor a neighbour can be had of that
        raise BadData(path, "every row of train is the same", "metrics that vary in train")
    return Machine(path.stem, train, test, label > 0, interval)
