"""Files of labelled data as arrays; whatever is wrong with one is said with its path and what is expected."""

from __future__ import annotations

import csv
import gzip
import zipfile
from pathlib import Path

import numpy as np

from telemetry.bits import Floats, Ints

LAYOUTS = {
    "nab": "nab/data/<group>/<name>.csv.gz with timestamp,value and nab/combined_windows.json",
    "smd": "smd/<machine>.npz with train [n, d], test [m, d] and label [m]",
    "asd": "asd/<server>.npz with train [n, d], test [m, d] and label [m]",
    "mscloud": "mscloud/<group>/<name>.csv.gz with timestamp,value,label",
}


class BadData(Exception):
    """A path that is not what the evaluation expects there; its text is for a person."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}")


def folder(data: Path, name: str) -> Path:
    """The folder of one data set below `data`.

    Raises:
        BadData: it is not there.
    """
    expected = f"--data to be the parent of {name}/, which holds {LAYOUTS[name]}"
    if not data.is_dir():
        raise BadData(data, "no such folder", expected)
    if not (data / name).is_dir():
        raise BadData(data / name, "no such folder", expected)
    return data / name


def found(root: Path, pattern: str, layout: str) -> list[Path]:
    """The files below `root` in order of their names, at least one."""
    files = sorted(path for path in root.glob(pattern) if path.is_file())
    if not files:
        raise BadData(root, f"no {pattern}", LAYOUTS[layout])
    return files


def columns(path: Path, wanted: tuple[str, ...]) -> dict[str, list[str]]:
    """The cells of the wanted columns of a CSV file, gzipped or not; names in any case."""
    expected = "a CSV file with the columns " + ",".join(wanted)
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as problem:
        raise BadData(path, str(problem) or type(problem).__name__, expected) from None
    if len(rows) < 2:
        raise BadData(path, "no rows", expected)
    header = [name.strip().lower() for name in rows[0]]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise BadData(path, f"no column {missing[0]} in {','.join(rows[0])}", expected)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise BadData(path, f"row {number} has {len(row)} cells of {len(header)}", expected)
    return {name: [row[header.index(name)] for row in rows[1:]] for name in wanted}


def times_of(path: Path, cells: list[str]) -> Ints:
    """Moments (ms) from ISO dates without a zone or in UTC.

    >>> times_of(Path("x"), ["1970-01-01 00:00:01", "1970-01-01T00:00:02Z"]).tolist()
    [1000, 2000]
    """
    try:
        stamps = np.array([cell.strip().removesuffix("Z") for cell in cells], "datetime64[ms]")
    except ValueError as problem:
        raise BadData(path, str(problem), "timestamps as 2014-04-01 00:05:00") from None
    return stamps.astype(np.int64)


def floats_of(path: Path, cells: list[str]) -> Floats:
    """Numbers; an empty cell is NaN."""
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError as problem:
        raise BadData(path, str(problem), "numbers or empty cells") from None


def arrays(path: Path, wanted: tuple[str, ...]) -> dict[str, Floats]:
    """The named arrays of an npz file, as float64."""
    expected = "an npz file with " + ", ".join(wanted)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: np.asarray(held[name], np.float64) for name in wanted}
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
    ) as problem:
        raise BadData(path, str(problem).strip("'\"") or type(problem).__name__, expected) from None
