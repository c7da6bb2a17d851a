"""Compiled code is kept wherever it can be, and its lack costs time, never a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from detectors.compiled import _say, keep_compiled
from detectors.engine import Scoring
from detectors.streaming import kernel
from telemetry.window import Window

CONFIG: Any = numba.config


@pytest.fixture(autouse=True)
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(CONFIG, "CACHE_DIR", "")
    monkeypatch.setattr("os.access", lambda path, mode: False)


def test_it_goes_to_the_folder_if_the_sources_are_read_only(tmp_path: Path) -> None:
    keep_compiled(tmp_path / "state" / "compiled")
    assert str(tmp_path / "state" / "compiled") == CONFIG.CACHE_DIR
    assert (tmp_path / "state" / "compiled").is_dir()


def test_the_operators_choice_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    keep_compiled(tmp_path / "compiled")
    assert CONFIG.CACHE_DIR == ""


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    keep_compiled(tmp_path / "file" / "compiled")
    assert "set NUMBA_CACHE_DIR" in caplog.text


def test_without_any_place_it_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    built: list[bool] = []

    def build(*signatures: str, cache: bool = False, **options: object) -> Callable[[object], object]:
        built.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'score': no locator available for file 'kernel.py'")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", build)
    _say.cache_clear()
    with caplog.at_level(logging.WARNING):
        kernel.compiled.__wrapped__()
    assert built == [True, False]
    assert "every start takes some seconds longer" in caplog.text


def test_a_warm_scoring_has_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(kernel, "compiled", lambda: asked.append("compiled"))
    Scoring(Window()).warm()
    assert asked == ["compiled"]
