"""A small directory in the format of the labelled data, with other names, counts and lengths than it has."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

ROWS = 400


def write_csv(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join([header, *rows]) + "\n")


def stamps(rows: int, minutes: int) -> list[str]:
    start = np.datetime64("2020-01-01T00:00:00")
    return [str(start + np.timedelta64(minutes * row, "m")).replace("T", " ") for row in range(rows)]


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    chance = np.random.default_rng(5)
    times = stamps(ROWS, 5)
    windows = {}
    for group, name in (("web", "a"), ("web", "b"), ("disk", "c")):
        values = chance.normal(10, 1, ROWS)
        values[300:310] += 20
        rows = [f"{at},{value}" for at, value in zip(times, values, strict=True)]
        write_csv(root / "nab" / "data" / group / f"{name}.csv.gz", "timestamp,value", rows)
        windows[f"{group}/{name}.csv"] = [[times[295] + ".000000", times[330] + ".000000"]]
    (root / "nab" / "combined_windows.json").write_text(json.dumps(windows))
    labels = np.isin(np.arange(ROWS), range(300, 310)).astype(int)
    rows = [f"{at},{chance.normal() + 9 * bad},{bad}" for at, bad in zip(times, labels, strict=True)]
    write_csv(root / "mscloud" / "g" / "m.csv.gz", "TimeStamp,Value,Label", rows)
    for suite in ("smd", "asd"):
        (root / suite).mkdir()
        train, test = chance.normal(size=(2, ROWS, 4))
        test[300:310] += 8
        np.savez(root / suite / "one.npz", train=train, test=test, label=labels)
    return root
