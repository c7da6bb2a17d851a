"""The dead man's open alarm outlives the process, and no channel holds up another."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analyzer.deadman import child
from analyzer.deadman.child import Alarm, Channel, Message, Watch
from analyzer.deadman.guard import ALARM, Guard
from analyzer.deadman.settings import DeadManSettings

WALL = 1_795_132_800.0


def test_every_start_has_keys_of_its_own() -> None:
    keys = {message.key for _ in range(2) if (message := Watch("owl", 10, 0).ended(WALL)) is not None}
    assert len(keys) == 2


def test_the_next_start_tells_the_end_of_an_alarm_that_was_open(tmp_path: Path) -> None:
    alarm = Alarm(str(tmp_path / ALARM))
    raised = Watch("owl", 10, 0, lambda: alarm.left).ended(WALL)
    assert raised is not None
    alarm.told(raised)
    assert [alarm.superseded] == [False]
    later = Alarm(str(tmp_path / ALARM))
    watch = Watch("owl", 10, 0, lambda: later.left)
    back = watch.line("tick", 1, WALL + 90)
    assert back is not None
    assert (back.status, back.text) == ("resolved", "owl is back after 90 s")
    assert watch.line("tick", 2, WALL + 91) is None
    later.told(back)
    later.settle(busy=True)
    assert [later.left] == [WALL]  # a channel has not taken it yet
    later.settle(busy=False)
    assert [later.left] == [None]
    assert [alarm.superseded] == [True]  # what waits in the earlier process would open it again


def test_an_alarm_that_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    alarm = Alarm(str(tmp_path / "none" / ALARM))
    alarm.told(Message(child.NAME, "firing", "silent", "k", WALL))
    assert (alarm.left, alarm.superseded) == (None, False)


def said(out: Path, count: int) -> list[str]:
    """The texts that a command was given, once there are so many."""
    for _ in range(200):
        lines = out.read_text().replace("}{", "}\n{").splitlines() if out.exists() else []
        if len(lines) >= count:
            return [json.loads(line)["alerts"][0]["annotations"]["summary"] for line in lines]
        time.sleep(0.02)
    raise AssertionError(f"only {lines}")


def test_after_a_crash_the_next_analyzer_tells_that_it_is_back(tmp_path: Path) -> None:
    out = tmp_path / "said"
    settings = DeadManSettings(command=("/usr/bin/tee", "-a", str(out)))
    for count in (1, 2):
        guard = Guard(settings, "owl", tmp_path)
        guard.start(0)
        guard.beat(0)
        if count == 1:
            guard.close()  # without a goodbye
            said(out, 1)
    (ended, back) = said(out, 2)
    assert ("without a goodbye" in ended, back.startswith("owl is back after")) == (True, True)
    guard.bye()


@pytest.fixture
def drips() -> Iterator[str]:
    """A webhook that answers a byte at a time and never ends."""
    server, over = socket.create_server(("127.0.0.1", 0)), threading.Event()
    server.settimeout(5)

    def drip() -> None:
        try:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    connection.sendall(b"X")
        except OSError:
            pass

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    over.set()
    thread.join()
    server.close()


def test_a_webhook_that_trickles_leaves_the_other_channels_their_voice(drips: str, tmp_path: Path) -> None:
    out = tmp_path / "said"
    channels = [{"kind": "webhook", "url": drips}, {"kind": "command", "argv": ["/usr/bin/tee", str(out)]}]
    settings = {"who": "owl", "silence": 60, "labels": {}, "helper": [], "channels": channels}
    process = subprocess.Popen([sys.executable, "-I", "-S", child.__file__], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    process.stdin.close()
    assert len(said(out, 1)) == 1
    process.terminate()
    process.kill()
    process.wait()


def test_an_attempt_has_a_deadline_in_all(drips: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = child._run
    found: list[float] = []

    def hasty(argv: list[str], body: bytes, timeout: float = child.TIMEOUT) -> None:
        found.append(timeout)
        run(argv, body, 0.6)

    monkeypatch.setattr(child, "_run", hasty)
    settings: dict[str, Any] = {"kind": "webhook", "url": drips}
    channel = Channel(settings, {}, [])
    channel.tell(Message("A", "firing", "text", "k", WALL))
    channel.step(0, WALL)
    assert (found, channel.busy) == ([child.TIMEOUT], True)
