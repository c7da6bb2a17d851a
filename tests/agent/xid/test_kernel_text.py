"""The corpus of kernel text, and text that nobody has written yet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.xid.catalogue import catalogue
from agent.xid.judgement import judge
from agent.xid.kernel_text import FallenOff, Finding, GpuAt, KernelText, SxidLine, XidLine
from agent.xid.kmsg import parse
from model.document import read_yaml

CORPUS: list[dict[str, Any]] = read_yaml(Path(__file__).with_name("corpus.yml"))
KINDS = {"xid": XidLine, "sxid": SxidLine, "fallen": FallenOff, "uuid": GpuAt}


def read(text: str) -> list[Finding]:
    return KernelText().findings(text)


def text_of(case: dict[str, Any]) -> str:
    return parse(case["line"].encode()).text if case["logger"] == "kmsg" else str(case["line"])


@pytest.mark.parametrize("case", CORPUS, ids=[f"{case['dialect']}-{i}" for i, case in enumerate(CORPUS)])
def test_the_corpus_is_read(case: dict[str, Any]) -> None:
    found = read(text_of(case))
    assert len(found) == len(case["finds"])
    for finding, expected in zip(found, case["finds"], strict=True):
        kind = next(key for key in KINDS if key in expected)
        assert type(finding) is KINDS[kind]
        wanted = dict(expected)
        tier, action = wanted.pop("tier", None), wanted.pop("action", None)
        if kind in ("xid", "sxid"):
            wanted["code"] = wanted.pop(kind)
        if kind == "fallen":
            wanted["pci"] = wanted.pop(kind)
        assert {name: getattr(finding, name) for name in wanted} == wanted
        if tier is not None:
            assert isinstance(finding, XidLine)
            judgement = judge(catalogue()[finding.code], finding.text, case.get("driver", ""))
            assert (judgement.tier, judgement.action) == (tier, action)


def test_the_corpus_has_every_dialect_three_times() -> None:
    assert len(CORPUS) >= 40
    for key in ("dialect", "logger"):
        counted = Counter(case[key] for case in CORPUS)
        assert min(counted.values()) >= 3, counted


def test_words_that_are_not_near_each_other_are_no_sentence() -> None:
    text = KernelText()
    assert text.findings("NVRM: The NVIDIA GPU 0000:b3:00.0") == []
    for _ in range(4):
        assert text.findings("NVRM: something else") == []
    assert text.findings("NVRM: fallen off the bus and is not responding to commands.") == []


def test_words_may_come_record_by_record() -> None:
    text = KernelText()
    assert text.findings("NVRM: The NVIDIA GPU 0000:b3:00.0") == []
    assert text.findings("usb 1-1: new device") == []
    assert text.findings("NVRM: (PCI ID: 10de:2330) installed in this system has") == []
    assert text.findings("NVRM: fallen off the bus and is not responding to commands.") == [
        FallenOff("0000:b3:00")
    ]


def test_a_line_without_end_is_cut() -> None:
    (found,) = read("NVRM: Xid (PCI:0000:b3:00): 79, " + "x" * 1_000_000)
    assert isinstance(found, XidLine)
    assert len(found.text) < 5000


@given(st.text(max_size=300))
def test_nothing_that_a_log_holds_is_fatal(text: str) -> None:
    read(text)
    read("NVRM: Xid (PCI:0000:b3:00): " + text)
    read("NVRM: " + text)
    read("nvidia-nvswitch0: SXid (" + text)
    parse(text.encode())


_NOISE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=40).filter(
    lambda text: "NVRM" not in text.upper() and "nvswitch" not in text.lower() and "]:" not in text
)


_ADDRESS = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 31))
_BEFORE = [
    "",
    "Nov 26 13:00:00 n1 kernel: ",
    "Nov  6 13:00:00 n1 kernel: [    1.000000] ",
    "kernel: ",
    "<4>1 2026-11-26T13:00:00.000+01:00 n1 kernel - - - ",
    "1795698000.123456 n1 kernel: ",
    "[ 5140.900001] n1 kernel: ",
    "kern  :warn  : [ 5140.900001] ",
]


@given(before=st.sampled_from(_BEFORE), after=_NOISE, code=st.integers(1, 99_999), address=_ADDRESS)
def test_noise_behind_a_line_changes_nothing(
    before: str, after: str, code: int, address: tuple[int, int, int]
) -> None:
    pci = "{:04x}:{:02x}:{:02x}".format(*address)
    (found,) = read(f"{before}NVRM: Xid (PCI:{pci}): {code}, Ch 00000001, {after}")
    assert isinstance(found, XidLine)
    assert (found.code, found.pci, found.pid) == (code, pci, 0)


@given(
    head=st.sampled_from(
        ["Nov 26 13:00:00 ", "Nov 26 13:00:00 n1 ", "2026-11-26T13:00:00Z n1 ", "4711.000001 "]
    ),
    tag=st.from_regex(r"[a-jl-z][a-z-]{0,9}(\[\d{1,5}\])?:", fullmatch=True),
    words=st.sampled_from(["", "kernel: ", "n1 kernel: ", "[ 5140.900001] ", "message repeated 3 times: [ "]),
    noise=_NOISE,
    said=st.sampled_from(
        ["NVRM: Xid (PCI:0000:17:00): 79, x", "NVRM: GPU 0000:18:00.0: GPU has fallen off the bus."]
    ),
)
def test_what_others_say_is_not_the_kernel_s(head: str, tag: str, words: str, noise: str, said: str) -> None:
    assert read(f"{head}{tag} {words}{said}") == []
    assert read(f"{head}{tag} {noise} {words}{said}") == []
    assert read(parse(f"4,1,1,-;{tag} {words}{said}".encode()).text) == []


@given(st.binary(max_size=200))
def test_any_record_of_the_device_is_read(data: bytes) -> None:
    record = parse(data)
    read(record.text)
    assert record.sequence >= -1
