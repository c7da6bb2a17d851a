"""Reading the kernel's log: what is new, what is history, what is lost, and what stands in the way."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from agent.xid import follow as module
from agent.xid import kernel_log
from agent.xid.follow import FollowedFile
from agent.xid.kernel_log import KernelLog
from agent.xid.kmsg import MessageDevice
from agent.xid.log_time import uptime, written
from agent.xid.settings import KernelLogSettings
from tests.agent.xid.node import spell


class Device:
    """A message device of our own: records, then nothing; EPIPE where the kernel has overwritten some."""

    def __init__(self, *records: bytes | int) -> None:
        self.records = list(records)

    def read(self, descriptor: int, size: int) -> bytes:
        if not self.records:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        record = self.records.pop(0)
        if isinstance(record, int):
            raise OSError(record, os.strerror(record))
        return record

    def opened(self, seen: int = -1) -> MessageDevice:
        return MessageDevice("/dev/null", seen, read=self.read)


def record(sequence: int, text: str = "") -> bytes:
    return f"4,{sequence},{sequence * 1000},-;{text or sequence}\n".encode()


def test_what_is_there_first_is_history() -> None:
    device = Device(record(7), record(8))
    opened = device.opened()
    assert list(opened.records()) == [("7", 0.007, False), ("8", 0.008, False)]
    device.records = [record(9)]
    assert list(opened.records()) == [("9", 0.009, True)]
    opened.close()


def test_an_overrun_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(record(7))
    opened = device.opened()
    list(opened.records())
    device.records = [errno.EPIPE, record(20)]
    assert list(opened.records()) == [("20", 0.02, True)]
    assert opened.lost == 12
    assert [entry.message for entry in caplog.records] == [
        "the kernel overwrote 12 records of its log before they were read"
    ]
    opened.close()


def test_opened_again_what_was_read_is_left_out_and_what_came_meanwhile_is_new() -> None:
    opened = Device(record(7), record(8), record(9)).opened(seen=8)
    assert list(opened.records()) == [("9", 0.009, True)]
    opened.close()


def test_another_error_of_the_device_is_raised() -> None:
    opened = Device(errno.EIO).opened()
    with pytest.raises(OSError, match="Input/output error"):
        list(opened.records())
    opened.close()
    ended = Device(b"").opened()
    with pytest.raises(OSError, match="has ended"):
        list(ended.records())
    ended.close()


def test_a_flood_leaves_the_event_loop_its_turn() -> None:
    opened = Device(*(record(number) for number in range(2000))).opened()
    first = len(list(opened.records()))
    assert first == 500
    assert len(list(opened.records())) == 500
    opened.close()


def turn(follow: FollowedFile) -> list[tuple[str, bool]]:
    return [(text, new) for text, _, new in follow.records()]


def lines(follow: FollowedFile) -> list[tuple[str, bool]]:
    found = turn(follow)
    while follow.more:
        found += turn(follow)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kern.log"


@pytest.fixture
def follow(path: Path) -> Iterator[FollowedFile]:
    path.write_text("old\n")
    followed = FollowedFile(str(path))
    yield followed
    followed.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_file_is_followed_from_its_end(path: Path, follow: FollowedFile) -> None:
    assert lines(follow) == [("old", False)]
    append(path, "a\nb")
    assert lines(follow) == [("a", True)]
    append(path, "c\n")
    assert lines(follow) == [("bc", True)]
    assert lines(follow) == []


def test_a_line_written_before_the_first_look_is_new(path: Path, follow: FollowedFile) -> None:
    append(path, "a\n")
    assert lines(follow) == [("old", False), ("a", True)]


def test_a_rotation_loses_nothing(path: Path, follow: FollowedFile) -> None:
    lines(follow)
    append(path, "last of the old\n")
    path.rename(path.with_suffix(".1"))
    assert lines(follow) == [("last of the old", True)]  # the new file is not there yet
    append(path.with_suffix(".1"), "very last\n")
    path.write_text("first of the new\n")
    assert lines(follow) == [("very last", True), ("first of the new", True)]
    append(path, "second\n")
    assert lines(follow) == [("second", True)]


def test_a_truncation_begins_anew(path: Path, follow: FollowedFile) -> None:
    append(path, "a long line that is there\n")
    lines(follow)
    path.write_text("b\n")
    assert lines(follow) == [("b", True)]


def test_of_a_large_file_only_the_end_is_history(path: Path) -> None:
    path.write_text("x" * 99 + "\n")
    path.write_text(("x" * 99 + "\n") * 30_000)
    follow = FollowedFile(str(path))
    found = lines(follow)
    assert 10_000 < len(found) < 11_000
    assert {text for text, _ in found} == {"x" * 99}
    follow.close()


def test_a_line_without_an_end_does_not_fill_memory(path: Path, follow: FollowedFile) -> None:
    lines(follow)
    append(path, "y" * 1_000_000)
    assert lines(follow) == []
    append(path, "\nnext\n")
    found = lines(follow)
    assert found[-1] == ("next", True)
    assert len(found[0][0]) <= 64 * 1024
    assert follow.lost == 1


def test_a_turn_at_a_file_has_an_end_and_loses_nothing(path: Path, follow: FollowedFile) -> None:
    lines(follow)
    append(path, "".join(f"line {number}\n" for number in range(20_000)))
    found = turn(follow)
    assert len(found) < 6000
    assert follow.more
    path.rename(path.with_suffix(".1"))
    path.write_text("first of the new\n")
    found += lines(follow)
    assert found == [(f"line {number}", True) for number in range(20_000)] + [("first of the new", True)]
    assert follow.lost == 0
    assert not follow.more


@pytest.mark.parametrize("data", [b"x" * 99 + b"\n", b"\n" * 100, b"x" * 100])
def test_a_turn_at_an_endless_pipe_has_an_end(
    data: bytes, follow: FollowedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = 0

    def piece() -> bytes:
        nonlocal pieces
        pieces += 1
        return data * 300

    monkeypatch.setattr(follow, "_chunk", piece)
    turn(follow)
    assert follow.more
    assert pieces <= 10


def test_of_a_huge_backlog_the_newest_is_read_and_the_rest_counted(
    path: Path, follow: FollowedFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, size in (("_CHUNK", 100), ("_BACKLOG", 2000), ("_SKIPPED_AT_ONCE", 500), ("_AT_ONCE", 300)):
        monkeypatch.setattr(module, name, size)
    lines(follow)
    for burst in range(2):
        append(path, "".join(f"{burst} {number:05}\n" for number in range(1000)))
        lost = follow.lost
        found = lines(follow)
        assert 100 < len(found) <= 1000 / 8
        assert found == [(f"{burst} {number:05}", True) for number in range(1000 - len(found), 1000)]
        assert follow.lost - lost == 1000 - len(found)
        assert [entry.message for entry in caplog.records] == [
            f"agent.kernel_log.path {path}: 8000 bytes wait to be read, "
            "more than 2000; the oldest are skipped"
        ] * (burst + 1)


async def test_a_record_that_cannot_be_handled_is_counted_and_the_next_one_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernel_log, "POLL", 0.01)
    taken = []

    def take(text: str, uptime: float | None, new: bool) -> None:
        if text.startswith("bad"):
            raise OSError(text)
        taken.append(text)

    path.write_text("bad 1\na\n")
    log = KernelLog(KernelLogSettings(path=path), "n1", take)
    log.start()
    append(path, "bad 2\nb\n")
    await until(lambda: taken == ["a", "b"])
    assert log.up
    assert spell(log.samples())["fleetowl_kernel_log_lost_total{node=n1}"] == 2
    assert [entry.message for entry in caplog.records] == [
        "a record of the kernel's log could not be handled: 'bad 1'"
    ]
    log.close()


async def test_the_rest_of_a_file_is_not_waited_for_as_long_as_what_is_to_come(
    path: Path, opened: tuple[KernelLog, Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "POLL", 30.0)
    monkeypatch.setattr(kernel_log, "CATCH_UP", 0.0)
    path.write_text("x" * 99 + "\n" + "line\n" * 10_000)
    log, taken = opened
    log.start()
    assert len(taken) < 8000
    await until(lambda: len(taken) == 10_001)


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    follow = FollowedFile(str(path))
    assert lines(follow) == []
    for text in ("a", "b"):  # writers come and go
        with path.open("w") as file:
            file.write(f"{text}\n")
            file.flush()
            assert lines(follow) == [(text, True)]
        assert lines(follow) == []
    follow.close()


Taken = list[tuple[str, bool]]


@pytest.fixture
def opened(path: Path) -> Iterator[tuple[KernelLog, Taken]]:
    """A log that is not there yet, and what it hands on; looked at and tried again at once."""
    taken: Taken = []
    log = KernelLog(
        KernelLogSettings.model_validate({"path": str(path)}),
        "n1",
        lambda text, uptime, new: taken.append((text, new)),
    )
    yield log, taken
    log.close()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def test_a_log_that_is_not_there_is_said_once_and_tried_again(
    path: Path,
    opened: tuple[KernelLog, Taken],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_log, "RETRY", 0.01)
    monkeypatch.setattr(kernel_log, "POLL", 0.01)
    log, taken = opened
    with caplog.at_level(logging.INFO):
        log.start()
        await asyncio.sleep(0.05)
        series = spell(log.samples())
        assert series["fleetowl_kernel_log_up{node=n1}"] == 0
        status = (
            f"fleetowl_kernel_log_status{{node=n1,reason={path}: No such file or directory,state=absent}}"
        )
        assert series[status] == 1
        path.write_text("it came while it was waited for\n")
        await until(lambda: bool(taken))
    assert taken == [("it came while it was waited for", True)]
    assert log.up
    said = [entry.message for entry in caplog.records]
    assert said == [
        f"no XIDs from the kernel's log: agent.kernel_log.path {path}: No such file or directory; "
        "tried again every 0.01 s",
        f"the kernel's log {path} is read again",
    ]


async def test_a_log_that_may_not_be_read_is_a_status(
    path: Path,
    opened: tuple[KernelLog, Taken],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path.write_text("secret\n")

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "open", denied)
    log, taken = opened
    log.start()
    assert (log.up, log.state, taken) == (False, "denied", [])
    assert "capability SYSLOG" in log.reason
    assert len(caplog.records) == 1


async def test_new_lines_are_handed_on(
    path: Path, opened: tuple[KernelLog, Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "POLL", 0.01)
    path.write_text("old\n")
    log, taken = opened
    log.start()
    log.start()  # no harm
    append(path, "new\n")
    await until(lambda: len(taken) == 2)
    assert taken == [("old", False), ("new", True)]
    assert spell(log.samples())["fleetowl_kernel_log_records_total{node=n1}"] == 2
    log.close()
    append(path, "after\n")
    await asyncio.sleep(0.03)
    assert len(taken) == 2


def test_a_look_at_a_file_is_well_within_a_second() -> None:
    assert kernel_log.POLL + 0.25 < 0.6


async def test_a_log_that_is_turned_off_is_not_opened(path: Path) -> None:
    path.write_text("x\n")
    log = KernelLog(KernelLogSettings(enabled=False, path=path), "n1", lambda *_: None)
    log.start()
    assert (log.up, log.state) == (False, "off")
    assert "fleetowl_kernel_log_up{node=n1}" in spell(log.samples())
    log.close()


async def test_the_device_wakes_the_loop(
    opened: tuple[KernelLog, Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket of whole messages reads as the device does, one record a read."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    device = MessageDevice("", opener=lambda path, flags: os.dup(ours.fileno()))
    monkeypatch.setattr(KernelLog, "_reader_of", lambda self: device)
    theirs.send(record(1, "old"))
    log, taken = opened
    log.start()
    theirs.send(record(2, "new"))
    await until(lambda: len(taken) == 2)
    assert taken == [("old", False), ("new", True)]
    log.close()
    ours.close()
    theirs.close()


NOW = datetime(2026, 11, 26, 13, 0, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-26T12:59:00+00:00 n1 kernel: NVRM", 1795697940.0),
        ("2026-11-26T12:59:00.250000Z n1 kernel: NVRM", 1795697940.25),
        ("2026-11-26T14:59:00+0200 n1 kernel: NVRM", 1795697940.0),
        ("2026-11-26T12:59:00 n1 kernel: NVRM", datetime(2026, 11, 26, 12, 59).timestamp()),
        ("Nov 26 12:59:00 n1 kernel: NVRM", datetime(2026, 11, 26, 12, 59).timestamp()),
        ("<4>Nov  6 12:59:00 n1 kernel: NVRM", datetime(2026, 11, 6, 12, 59).timestamp()),
        ("Dec 31 23:59:00 n1 kernel: NVRM", datetime(2025, 12, 31, 23, 59).timestamp()),
        ("[Thu Nov 26 12:59:00 2026] NVRM", datetime(2026, 11, 26, 12, 59).timestamp()),
        ("Feb 31 12:59:00 n1 kernel: NVRM", None),
        ("2026-99-26T12:59:00 n1", None),
        ("NVRM: Xid", None),
    ],
)
def test_when_a_line_was_written(line: str, expected: float | None) -> None:
    assert written(line, NOW) == expected


def test_how_long_the_system_was_up() -> None:
    assert uptime("[ 5140.900123] NVRM: Xid") == 5140.900123
    assert uptime("Nov 26 13:00:00 n1 kernel: [    8.100000] NVRM: Xid") == 8.1
    assert uptime("NVRM: Xid (PCI:0000:b3:00): 79") is None
