"""The command: each suite over a small directory prints tables and figures; a wrong one ends with 2."""

import json
import sys
from pathlib import Path

import pytest

from bench.detection import __main__ as command
from bench.detection import subjects


@pytest.fixture(autouse=True)
def few_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rivals take seconds to import; the acceptance tests have them."""
    monkeypatch.setattr(subjects, "SERIES_RIVALS", ())
    monkeypatch.setattr(subjects, "MACHINE_RIVALS", ())


def asked(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.detection", "--jobs", "1", *words])
    command.main()


def test_suites_end_in_one_object_of_named_figures(
    labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(monkeypatch, "--suite", "nab", "--suite", "mscloud", "--data", str(labelled), "--json")
    printed = capsys.readouterr().out.splitlines()
    figures = json.loads(printed[-1])
    wanted = {
        "nab_standard",
        "nab_low_fp_optimised",
        "nab_low_fn",
        "nab_folder_web_standard",
        "mscloud_vus_pr",
    }
    assert wanted <= figures.keys()
    assert figures["nab_standard"] > 50
    assert figures["nab_control_constant_standard"] < 0
    assert figures["mscloud_event_f1"] > 0.5
    assert any("control: random" in line for line in printed)


@pytest.mark.parametrize("suite", ["nab", "smd", "asd", "mscloud", "quiet"])
def test_a_wrong_directory_ends_with_2_and_its_path(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        asked(monkeypatch, "--suite", suite, "--data", str(tmp_path / "nowhere"))
    said = capsys.readouterr().err
    assert f"{tmp_path / 'nowhere'}: no such folder" in said
    assert "expected --data to be the parent of" in said
