"""The spool: nothing acknowledged to us is lost, nothing corrupt comes out, whatever happens in between."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.spool import Spool

KEYS = [b"schema-a", b"schema-b", b"schema-c"]
BIG = 1 << 30


def _schema(key: bytes) -> bytes:
    return b"columns of " + key


def _drain(spool: Spool, most: int = 1000) -> list[bytes]:
    taken: list[bytes] = []
    while (batch := spool.batch(most, BIG)) is not None:
        for record in batch.records:
            assert batch.schemas[record.key] == _schema(record.key)
            taken.append(record.data)
        spool.acknowledge(batch)
    return taken


def _opened(folder: Path, max_bytes: int = BIG, segment: int = 300) -> Spool:
    spool = Spool(folder, max_bytes, segment)
    spool.open()
    return spool


class SpoolMachine(RuleBasedStateMachine):
    """Any interleaving of append, deliver, kill, torn tail and clean restart against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.spool = _opened(self.folder)
        self.waiting: list[bytes] = []
        self.delivered: set[bytes] = set()
        self.written = 0

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)

    @rule(key=st.sampled_from(KEYS), size=st.integers(0, 200))
    def append(self, key: bytes, size: int) -> None:
        data = b"%d:" % self.written + b"x" * size
        self.written += 1
        assert self.spool.append(key, _schema(key), data)
        self.waiting.append(data)

    @rule(most=st.integers(1, 7), limit=st.integers(1, 500), acknowledged=st.booleans())
    def deliver(self, most: int, limit: int, acknowledged: bool) -> None:
        batch = self.spool.batch(most, limit)
        assert (batch is None) == (not self.waiting)
        if batch is None:
            return
        taken = [record.data for record in batch.records]
        assert taken == self.waiting[: len(taken)]
        assert len(taken) <= most
        assert all(batch.schemas[record.key] == _schema(record.key) for record in batch.records)
        if acknowledged:
            self.spool.acknowledge(batch)
            del self.waiting[: len(taken)]

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = _opened(self.folder)

    @rule(torn=st.binary(min_size=1, max_size=60))
    def kill_within_a_write(self, torn: bytes) -> None:
        """The last segment ends in the beginning of a record that was never acknowledged to us."""
        self.spool.close()
        segments = sorted(self.folder.glob("*.seg"))
        if segments:
            whole = segments[-1].read_bytes()
            segments[-1].write_bytes(whole + (whole[:40] if len(torn) % 2 else torn)[: len(torn)])
        self.spool = _opened(self.folder)

    @precondition(lambda self: self.waiting)
    @rule()
    def lose_the_cursor(self) -> None:
        """Frames come again then, but none is lost: the analyzer drops what it knows."""
        self.spool.close()
        (self.folder / "cursor").unlink(missing_ok=True)
        self.spool = _opened(self.folder)
        again = []
        while (batch := self.spool.batch(1000, BIG)) is not None:
            again += [record.data for record in batch.records]
            self.spool.acknowledge(batch)
        assert again[len(again) - len(self.waiting) :] == self.waiting
        self.waiting.clear()

    @invariant()
    def counts_agree(self) -> None:
        assert self.spool.frames == len(self.waiting)
        assert self.spool.size == sum(path.stat().st_size for path in self.folder.glob("*.seg"))


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_frames_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    spool = _opened(tmp_path)
    frames = [b"%04d" % number * 20 for number in range(50)]
    for number, frame in enumerate(frames):
        spool.append(KEYS[number % 3], _schema(KEYS[number % 3]), frame)
    assert len(list(tmp_path.glob("*.seg"))) > 5
    again = _opened(tmp_path)  # without close: as after kill -9
    assert _drain(again, most=7) == frames
    assert again.size == 0
    assert list(tmp_path.glob("*.seg")) == [], "delivered is deleted"
    spool.close()


def test_what_was_delivered_of_a_segment_is_not_sent_again(tmp_path: Path) -> None:
    spool = _opened(tmp_path, segment=10_000)
    for number in range(10):
        spool.append(KEYS[0], _schema(KEYS[0]), b"%d" % number)
    for _ in range(2):
        batch = spool.batch(3, BIG)
        assert batch is not None
        spool.acknowledge(batch)
    again = _opened(tmp_path)
    assert again.frames == 4
    assert _drain(again) == [b"6", b"7", b"8", b"9"]
    spool.close()


def test_each_segment_stands_on_its_own(tmp_path: Path) -> None:
    """The oldest go when it is full; the rest still have their schemas."""
    spool = _opened(tmp_path, max_bytes=1200)
    frames = [b"%04d" % number * 10 for number in range(60)]
    for frame in frames:
        assert spool.append(KEYS[0], _schema(KEYS[0]), frame)
        assert spool.size <= 1200
    kept = _drain(spool)
    assert kept == frames[-len(kept) :]
    assert 5 < len(kept) < 60
    assert spool.stats.dropped_full == 60 - len(kept)


def test_a_frame_larger_than_the_spool_is_counted(tmp_path: Path) -> None:
    spool = _opened(tmp_path, max_bytes=500)
    assert not spool.append(KEYS[0], b"", bytes(600))
    assert spool.stats.dropped_full == 1


def test_a_damaged_record_is_skipped_and_the_others_come(tmp_path: Path) -> None:
    spool = _opened(tmp_path, segment=10_000)
    for number in range(3):
        spool.append(KEYS[0], _schema(KEYS[0]), b"frame %d" % number)
    spool.close()
    (segment,) = tmp_path.glob("*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"frame 1", b"frame ?"))
    assert _drain(_opened(tmp_path)) == [b"frame 0", b"frame 2"]


def test_dropped_while_being_delivered(tmp_path: Path) -> None:
    """The batch that was on its way while its segment made room for newer frames."""
    spool = _opened(tmp_path, max_bytes=900)
    frames = [b"%04d" % number * 10 for number in range(40)]
    for frame in frames[:10]:
        spool.append(KEYS[0], _schema(KEYS[0]), frame)
    batch = spool.batch(2, BIG)
    assert batch is not None
    for frame in frames[10:]:
        spool.append(KEYS[0], _schema(KEYS[0]), frame)
    waiting = spool.frames
    spool.acknowledge(batch)
    assert spool.frames == waiting
    assert _drain(spool)[-1] == frames[-1]


def test_two_agents_do_not_share_a_folder(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from agent.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 20)
spool.open()
print(spool.trouble or "no trouble", spool.append(b"schema-a", b"", b"frame"), flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "no trouble True\n"
    mine = _opened(tmp_path)
    assert mine.trouble == "another agent uses this folder"
    assert not mine.append(KEYS[0], b"", b"frame")
    assert mine.batch(1, BIG) is None
    other.communicate()
    assert mine.append(KEYS[0], b"", b"frame"), "free again"
    mine.close()


class FullDisk:
    """A disk that takes `room` more bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(fd, data[: self.room])
        self.room -= written
        return written


def test_a_full_disk_is_survived_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    disk = FullDisk(200)
    spool = Spool(tmp_path, BIG, 10_000, disk.write)
    spool.open()
    results = [spool.append(KEYS[0], _schema(KEYS[0]), b"%04d" % number * 10) for number in range(10)]
    assert results == [True] * 2 + [False] * 8, "the third fits by half: nothing of it stays"
    assert spool.stats.dropped_unwritable == 8
    assert spool.trouble == "No space left on device"
    assert len(caplog.records) == 1
    disk.room = BIG
    assert spool.append(KEYS[0], _schema(KEYS[0]), b"after")
    assert spool.trouble == ""
    assert len(caplog.records) == 2
    assert _drain(spool) == [b"0000" * 10, b"0001" * 10, b"after"]


def test_a_folder_that_cannot_be_used_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    spool = _opened(tmp_path / "file" / "spool")
    assert spool.trouble
    assert not spool.append(KEYS[0], b"", b"frame")
    assert spool.batch(1, 1) is None
    assert spool.stats.dropped_unwritable == 1
