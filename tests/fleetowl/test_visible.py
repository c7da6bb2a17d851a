"""No text of others reaches a terminal as anything but text."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.snapshot.shape import (
    EngineView,
    Finding,
    GpuView,
    HostView,
    NodeView,
    ProcessView,
    Severity,
    Snapshot,
)
from fleetowl import tables
from fleetowl.agent_report import report
from fleetowl.logs import configure
from fleetowl.terminal import RED, Column, paragraph, render
from fleetowl.top.frame import Choice, Screen, frame
from fleetowl.top.history import History
from fleetowl.visible import visible

OWN_COLOUR = re.compile(r"\x1b\[\d+m")
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff]")
PIECES = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r",
    "\n",
    "\t",
    "\x7f",
    "\x00",
    "\u202e",
    "\u2028",
    "\ud800",
    "llama",
    "Größe",
    "模型",
    " ",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map("".join)


def assert_plain(told: str, lines: int | None = None) -> None:
    found = FORBIDDEN.search(OWN_COLOUR.sub("", told))
    assert found is None, (found, told)
    if lines is not None:
        assert told.count("\n") == lines - 1, "no text makes a line"


@given(TEXTS)
def test_what_is_visible_prints_and_plain_text_stays(text: str) -> None:
    assert_plain(visible(text), lines=1)
    assert visible(visible(text)) == visible(text)
    if text.isprintable():
        assert visible(text) == text
    assert visible(text, keep="\n").count("\n") == text.count("\n")


@given(TEXTS, TEXTS)
def test_tables_and_paragraphs(one: str, other: str) -> None:
    assert_plain(tables.table(["A", "B"], [[one, other], [other, one]], "none"), lines=3)
    columns = [Column("A", [one]), Column("B", [other], colours={0: RED}, flexible=True)]
    for width in (None, 20):
        assert_plain("\n".join(render(columns, width, colour=True)), lines=2)
        assert_plain("\n".join(paragraph(one, other, len(visible(one)), width, RED)))


def snapshot(text: str, driver: str, severity: Severity) -> Snapshot:
    """With this text wherever a text of others may stand."""
    gpu = GpuView(
        gpu=text,
        uuid=text,
        model_name=text,
        reason=text,
        clock_reasons=(text,),
        trouble=(text,),
        notes=(text,),
        processes=(ProcessView(1, text, 1.0),),
    )
    node = NodeView(
        node=text,
        host=HostView(kernel=text, fullest_mountpoint=text, fullest_used_ratio=0.5),
        gpus=(gpu, GpuView(gpu="1", uuid=text, pods=(text,), state="lost")) if driver == "ready" else (),
        driver_state=driver,
        driver_reason=text,
        driver_version=text,
        engines=(EngineView(text, text, text, text, text, reason=text),),
        wrong=(Finding(severity, text, text),),
        missing=(Finding(severity, text, text),),
    )
    return Snapshot(1, 1_700_000_000.0, (node,))


@given(TEXTS, st.sampled_from(["ready", "failed"]), st.sampled_from([None, 30, 120]))
def test_the_page_of_once(text: str, driver: str, width: int | None) -> None:
    assert_plain(report(snapshot(text, driver, "warning"), width, colour=True))


@given(TEXTS, st.sampled_from(["ready", "failed"]), st.sampled_from([30, 120]))
def test_the_picture_of_top(text: str, driver: str, width: int) -> None:
    seen = snapshot(text, driver, "broken")
    for choice in (Choice(), Choice(node=text)):
        told = frame(seen, History(), choice, text, text, Screen(width, 40, colour=True))
        assert_plain(told)
        assert len(told.split("\n")) <= 40


@pytest.mark.parametrize("machine", [False, True])
def test_the_log(machine: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, ours = logging.getLogger(), logging.getLogger("fleetowl")
    before = root.handlers[:], root.level, ours.level
    try:
        configure(verbose=False, json=machine)
        for text in (
            "".join(PIECES).replace("\ud800", ""),
            "\n12:00:00 ERROR   fleetowl.agent: GPUs are lost",
        ):
            try:
                raise RuntimeError(text)
            except RuntimeError:
                logging.getLogger("fleetowl.test").warning("XID of %s", text, exc_info=sys.exc_info())
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
    told = capsys.readouterr().err
    assert_plain(told)
    records = [line for line in told.splitlines() if not line.startswith("  ")]
    assert len(records) == 2, "no text can pass for a record"
    assert all(json.loads(line)["level"] == "warning" if machine else "WARNING" in line for line in records)
