"""Directories of labelled data: any of the format is read, and what is wrong is said with its path."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.detection.labelled.machines import machines
from bench.detection.labelled.series import mscloud, nab
from bench.detection.labelled.source import BadData


def test_series_of_nab_have_their_windows_as_rows(labelled: Path) -> None:
    series = nab(labelled)
    assert [(one.group, one.name, one.events) for one in series] == [
        ("disk", "c", ((295, 330),)),
        ("web", "a", ((295, 330),)),
        ("web", "b", ((295, 330),)),
    ]
    assert series[0].interval == 300_000
    assert series[0].days == pytest.approx(400 * 300 / 86_400)


def test_labels_of_rows_become_events(labelled: Path) -> None:
    (one,) = mscloud(labelled)
    assert one.events == ((300, 309),)
    (machine,) = machines(labelled, "asd")
    assert machine.events == ((300, 309),)
    assert machine.interval == 300_000
    assert machine.train.shape == (400, 4)


@pytest.mark.parametrize(
    ("spoil", "load", "said"),
    [
        (lambda root: shutil.rmtree(root / "smd"), lambda root: machines(root, "smd"), "smd: no such folder"),
        (lambda root: (root / "smd" / "one.npz").unlink(), lambda root: machines(root, "smd"), r"no \*\.npz"),
        (
            lambda root: (root / "smd" / "one.npz").write_bytes(b"PK\3\4 no archive"),
            lambda root: machines(root, "smd"),
            "one.npz: .*expected an npz file with train, test, label",
        ),
        (
            lambda root: np.savez(root / "smd" / "one.npz", train=np.ones((3, 2)), test=np.ones((3, 2))),
            lambda root: machines(root, "smd"),
            "one.npz: label is not a file in the archive",
        ),
        (
            lambda root: np.savez(
                root / "smd" / "one.npz", train=np.ones(3), test=np.ones(3), label=np.ones(3)
            ),
            lambda root: machines(root, "smd"),
            r"train \(3,\)",
        ),
        (
            lambda root: (root / "nab" / "combined_windows.json").write_text("{}"),
            nab,
            "combined_windows.json: no entry 'disk/c.csv'",
        ),
        (
            lambda root: (root / "nab" / "combined_windows.json").write_text("[1"),
            nab,
            "combined_windows.json: .*expected an object",
        ),
        (
            lambda root: (root / "mscloud" / "g" / "m.csv.gz").write_bytes(b"not gzip"),
            mscloud,
            "m.csv.gz: Not a gzipped file.*expected a CSV file with the columns timestamp,value,label",
        ),
        (lambda root: _write(root, "a,b\n1,2\n"), mscloud, "m.csv.gz: no column timestamp"),
        (
            lambda root: _write(root, "timestamp,value,label\nx,1,0\n"),
            mscloud,
            "m.csv.gz: .*expected timestamps",
        ),
        (lambda root: _write(root, "timestamp,value,label\n2020-01-01,y,0\n"), mscloud, "expected numbers"),
        (
            lambda root: _write(root, "timestamp,value,label\n2020-01-01,1\n"),
            mscloud,
            "row 2 has 2 cells of 3",
        ),
        (lambda root: _write(root, ""), mscloud, "m.csv.gz: no rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(labelled: Path, tmp_path: Path, spoil, load, said: str) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path / "copy"
    shutil.copytree(labelled, root)
    spoil(root)
    with pytest.raises(BadData, match=said):
        load(root)


def _write(root: Path, text: str) -> None:
    with gzip.open(root / "mscloud" / "g" / "m.csv.gz", "wt") as file:
        file.write(text)


def test_a_machine_that_never_moves_in_training_is_said(tmp_path: Path) -> None:
    (tmp_path / "asd").mkdir()
    np.savez(tmp_path / "asd" / "a.npz", train=np.zeros((5, 2)), test=np.zeros((9, 2)), label=np.zeros(9))
    with pytest.raises(BadData, match="every row of train is the same"):
        machines(tmp_path, "asd")
